"""A checkpoint as a torch module: where every engine starts from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.engines.base import Batch, Classifier, Layer, Runtime
from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pooling import restore_pooling
from goemo_eval.models.quiet import quiet_transformers


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A checkpoint's model and tokenizer.

    Attributes
    ----------
    checkpoint : Checkpoint
    module : transformers.PreTrainedModel
        In evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
    """

    checkpoint: Checkpoint
    module: Any
    tokenizer: Any

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The linear layers; one that is passed several times stands here once."""
        import torch

        return tuple(
            Layer(name, module.weight.numel())
            for name, module in self.module.named_modules()
            if isinstance(module, torch.nn.Linear)
        )

    @property
    def vocab_size(self) -> int:
        """Number of rows of the embedding table."""
        return int(self.module.config.vocab_size)

    @property
    def pad_id(self) -> int:
        """Id of the padding token."""
        return int(self.tokenizer.pad_token_id or 0)

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
        """Tokenize texts: one array of token ids each, cut to the checkpoint's length, not padded.

        Ids are folded below the vocabulary: a no-op but for the stand-in tokenizer of random weights.
        """
        encoded = self.tokenizer(
            list(texts), truncation=True, max_length=self.checkpoint.max_length
        )
        return [np.asarray(ids, dtype=np.int64) % self.vocab_size for ids in encoded["input_ids"]]

    def classifier(
        self,
        forward: Callable[[Batch], npt.NDArray[np.float32]],
        *,
        precision: str,
        runtime: Runtime,
        size_bytes: int,
        **options: Any,
    ) -> Classifier:
        """Return a classifier of this checkpoint around an engine's forward pass."""
        return Classifier(
            labels=self.checkpoint.labels,
            precision=precision,
            runtime=runtime,
            forward=forward,
            encode=self.encode,
            pad_id=self.pad_id,
            parameters=sum(p.numel() for p in self.module.parameters() if p.requires_grad),
            size_bytes=size_bytes,
            **options,
        )

    def logits_only(self) -> Any:
        """Return a module of two positional inputs and one output, as exporters want it."""
        import torch

        class Logits(torch.nn.Module):  # type: ignore[misc]
            def __init__(self, model: Any) -> None:
                super().__init__()
                self.model = model

            def forward(self, input_ids: Any, attention_mask: Any) -> Any:
                return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

        return Logits(self.module).eval()


def load_pretrained(checkpoint: Checkpoint) -> Pretrained:
    """Load a checkpoint's weights and tokenizer into torch.

    Raises
    ------
    CheckpointError
        If the weights do not fit the labels.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with quiet_transformers():
        module = restore_pooling(
            AutoModelForSequenceClassification.from_pretrained(
                checkpoint.path, use_safetensors=True, local_files_only=True
            ).eval()
        )
        tokenizer = AutoTokenizer.from_pretrained(checkpoint.path, local_files_only=True)
    if module.config.num_labels != len(checkpoint.labels):
        raise CheckpointError(
            f"{checkpoint.path}: the model has {module.config.num_labels} outputs for "
            f"{len(checkpoint.labels)} labels: train again"
        )
    return Pretrained(checkpoint, module, tokenizer)


EXAMPLE = (
    ((101, 7592, 2088, 102), (1, 1, 1, 1)),
    ((101, 7592, 102, 0), (1, 1, 1, 0)),
)
"""Token ids and mask of two texts, one of them padded, for tracing."""


def example_inputs(pretrained: Pretrained) -> tuple[Any, Any]:
    """Return ids and mask, int64 tensors of shape (2, 4), that any exporter may trace with."""
    import torch

    ids = torch.tensor([ids for ids, _ in EXAMPLE]) % pretrained.vocab_size
    return ids, torch.tensor([mask for _, mask in EXAMPLE])
