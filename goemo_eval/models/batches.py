"""What fine-tuning reads: tokenized rows with targets, in batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from goemo_eval.data.dataset import Split
    from goemo_eval.data.schemes import Scheme


def training_rows(
    tokenizer: Any,
    scheme: Scheme,
    split: Split,
    *,
    max_length: int,
    train_labels: npt.NDArray[np.bool_] | None = None,
    types: bool = False,
) -> list[dict[str, Any]]:
    """Tokenize a split, unpadded, with its targets in the form that the loss takes.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    scheme : Scheme
    split : Split
    max_length : int
    train_labels : ndarray of bool, shape (M, L), optional
        What the scheme's dominance rule counts; `split`'s own by default.
    types : bool, default False
        Whether the model is given token types.

    Returns
    -------
    list of dict
        With ``input_ids``, ``attention_mask``, ``labels`` and, where asked for, ``token_type_ids``.
    """
    keep = scheme.keeps(split.labels)
    votes = None if split.votes is None else split.votes[keep]
    counted = split.labels if train_labels is None else train_labels
    targets: npt.NDArray[Any] = scheme.targets(
        split.labels[keep], train_labels=counted, votes=votes
    )
    if scheme.kind == "multilabel":
        targets = targets.astype(np.float32)  # binary cross-entropy takes floats
    texts = [text for text, kept in zip(split.texts, keep, strict=True) if kept]
    encoded = tokenizer(texts, truncation=True, max_length=max_length, return_token_type_ids=types)
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if types else [])]
    columns = [encoded[name] for name in names] + [targets.tolist()]
    return [
        dict(zip([*names, "labels"], values, strict=True)) for values in zip(*columns, strict=True)
    ]


class LengthGroupedOrder:
    """The order of the rows in an epoch: batches of like length, shuffled by seed and epoch.

    Trainer's own sampler for this draws from the global generator, so that an interrupted run
    would go on in another order than an uninterrupted one.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each row.
    batch_size, seed : int
    """

    def __init__(self, lengths: Sequence[int], *, batch_size: int, seed: int) -> None:
        self._lengths = list(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; the loader does so before each one."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        import torch
        from transformers.trainer_pt_utils import get_length_grouped_indices

        [seed] = np.random.SeedSequence([self._seed, self._epoch]).generate_state(1)
        generator = torch.Generator().manual_seed(int(seed))
        return iter(
            get_length_grouped_indices(self._lengths, self._batch_size, generator=generator)
        )


def train_batches(trainer: Any, seed: int) -> Any:
    """Return the loader of `LengthGroupedOrder`, on the devices that the trainer uses."""
    from torch.utils.data import DataLoader

    size = trainer.args.train_batch_size
    order = LengthGroupedOrder(
        [len(row["input_ids"]) for row in trainer.train_dataset], batch_size=size, seed=seed
    )
    loader = DataLoader(
        trainer.train_dataset,
        batch_size=size,
        sampler=order,
        collate_fn=trainer.data_collator,
        pin_memory=trainer.args.dataloader_pin_memory,
    )
    return trainer.accelerator.prepare(loader)
