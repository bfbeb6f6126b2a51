"""A checkpoint as a torch module: where every engine starts from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.pooling import restore_pooling
from goemo_eval.models.quiet import quiet_transformers


class Layer(NamedTuple):
    """A linear layer by the name of its torch module, and its number of weights."""

    name: str
    weights: int


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
