"""A checkpoint as a torch module: where every engine starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from goemo_eval.errors import CheckpointError
from goemo_eval.models.checkpoint import Checkpoint, check_length
from goemo_eval.models.directory import read_directory
from goemo_eval.models.loading import load_module
from goemo_eval.models.pooling import restore_pooling
from goemo_eval.models.probing import check_forward, embedding_rows, encode, needs_types
from goemo_eval.models.tokenizer import check_vocabulary, load_tokenizer_files


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
        Float32, in evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
        A fast one.
    notes : tuple of str
        What a user should be told of how it was loaded, in a line each; the checkpoint's among them.
    """

    checkpoint: Checkpoint
    module: Any
    tokenizer: Any
    notes: tuple[str, ...] = ()

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
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.module.parameters() if p.requires_grad)

    @property
    def vocab_size(self) -> int:
        """Number of rows of the embedding table."""
        return embedding_rows(self.module)

    @property
    def folded(self) -> bool:
        """Whether token ids are taken modulo the vocabulary: of a stand-in with random weights only."""
        return self.checkpoint.weights == "random"

    @property
    def pad_id(self) -> int:
        """Id of the padding token."""
        pad = int(self.tokenizer.pad_token_id)
        return pad % self.vocab_size if self.folded else pad

    @property
    def padding_side(self) -> str:
        """``right`` or ``left``: where the model expects its padding."""
        return str(self.tokenizer.padding_side)

    @cached_property
    def type_ids(self) -> bool:
        """Whether the model is given token types: where the tokenizer's are not all zero."""
        return needs_types(self.module, self.tokenizer)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the model's inputs, in the order of `example_inputs`."""
        names = ("input_ids", "attention_mask")
        return (*names, "token_type_ids") if self.type_ids else names

    def logits_only(self) -> Any:
        """Return a module of positional inputs (`input_names`) and one output, as exporters want it."""
        import torch

        class Logits(torch.nn.Module):  # type: ignore[misc]
            def __init__(self, model: Any) -> None:
                super().__init__()
                self.model = model

            def forward(self, input_ids: Any, attention_mask: Any) -> Any:
                return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

        class TypedLogits(torch.nn.Module):  # type: ignore[misc]
            def __init__(self, model: Any) -> None:
                super().__init__()
                self.model = model

            def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
                return self.model(
                    input_ids=input_ids,
                    attention_mask=attention_mask,
                    token_type_ids=token_type_ids,
                ).logits

        kind = TypedLogits if self.type_ids else Logits
        return kind(self.module).eval()

    def example_inputs(self) -> tuple[Any, ...]:
        """Return what `logits_only` takes: int64 tensors of two texts, one of them padded."""
        inputs = encode(self.module, self.tokenizer, list(EXAMPLES))
        return tuple(inputs[name] for name in self.input_names)


EXAMPLES = ("hello world", "hello")
"""The texts of `Pretrained.example_inputs`."""


def load_pretrained(checkpoint: Checkpoint) -> Pretrained:
    """Load a checkpoint's weights and tokenizer into torch, exactly as they were saved.

    What would only show after all the work is tried here on two short texts and a long one: that the
    model takes what the tokenizer gives, has positions for the checkpoint's length, and gives a
    logit for each label.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of transformers.

    Returns
    -------
    Pretrained

    Raises
    ------
    CheckpointError
        If weights, config, tokenizer and labels do not belong together.
    """
    path = checkpoint.path
    if checkpoint.model != "transformers":
        raise CheckpointError(f"{path}: is a {checkpoint.model} model, not one of transformers")
    directory = read_directory(path)
    check_length(directory, checkpoint.max_length)
    module = restore_pooling(load_module(directory))
    tokenizer = load_tokenizer_files(path)
    if checkpoint.weights != "random":  # whose stand-in tokenizer is folded into the table
        check_vocabulary(tokenizer, embedding_rows(module), path=path)
    note = check_forward(
        module,
        tokenizer,
        path=path,
        max_length=checkpoint.max_length,
        n_labels=len(checkpoint.labels),
    )
    notes = checkpoint.notes if note is None else (*checkpoint.notes, note)
    return Pretrained(checkpoint, module, tokenizer, notes)
