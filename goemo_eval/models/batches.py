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


def repeat_factors(
    targets: Sequence[Any], counts: npt.NDArray[np.int64], *, below: float
) -> npt.NDArray[np.float64]:
    """Return how much more often each row is to be seen, for the rare labels on it.

    A label with a share f of the rows has the factor max(1, sqrt(below / f)); a row has that of its rarest
    label, and 1 without labels: repeat factor sampling of Gupta, Dollar and Girshick, "LVIS: A Dataset for
    Large Vocabulary Instance Segmentation", CVPR 2019.

    Parameters
    ----------
    targets : sequence, length N
        Of each row: 0 or 1 for each of the L labels, or the index of its one label.
    counts : ndarray of int, shape (L,)
        Rows that hold each label.
    below : float
        Share in (0, 1) under which a label is rare.

    Returns
    -------
    ndarray of float, shape (N,)
        At least 1.

    Examples
    --------
    >>> repeat_factors([0] * 99 + [1], np.array([99, 1]), below=0.04)[[0, 99]].tolist()
    [1.0, 2.0]
    """
    shares = np.maximum(counts, 1) / len(targets)
    factors = np.maximum(1.0, np.sqrt(below / shares))
    rows = np.asarray(targets)
    if rows.ndim == 1:
        return np.asarray(factors[rows], dtype=np.float64)
    return np.asarray(np.where(rows > 0, factors, 1.0).max(axis=1), dtype=np.float64)


class LengthGroupedOrder:
    """The order of the rows in an epoch: batches of like length, shuffled by seed and epoch.

    Trainer's own sampler for this draws from the global generator, so that an interrupted run
    would go on in another order than an uninterrupted one.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each row.
    batch_size, seed : int
    factors : ndarray of float, shape (N,), optional
        How much more often a row is seen than one of factor 1; an epoch stays as long as the rows are many.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        factors: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self._lengths = np.asarray(lengths)
        self._batch_size = batch_size
        self._seed = seed
        self._factors = factors
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
        drawn = self._drawn(int(seed))
        order = get_length_grouped_indices(
            self._lengths[drawn].tolist(), self._batch_size, generator=generator
        )
        return iter(drawn[order].tolist())

    def _drawn(self, seed: int) -> npt.NDArray[np.int64]:
        """Return the rows of the epoch: each once, or in the numbers that the factors ask for."""
        n = len(self._lengths)
        if self._factors is None:
            return np.arange(n)
        # Systematic: a row comes as often as its share of the factors says, rounded down or up.
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(n)
        ends = np.cumsum(self._factors[shuffled])
        at = (np.arange(n) + rng.random()) * (ends[-1] / n)
        rows = np.minimum(np.searchsorted(ends, at, side="right"), n - 1)
        return np.asarray(shuffled[rows], dtype=np.int64)


def train_batches(trainer: Any, seed: int, factors: npt.NDArray[np.float64] | None = None) -> Any:
    """Return the loader of `LengthGroupedOrder`, on the devices that the trainer uses."""
    from torch.utils.data import DataLoader

    size = trainer.args.train_batch_size
    order = LengthGroupedOrder(
        [len(row["input_ids"]) for row in trainer.train_dataset],
        batch_size=size,
        seed=seed,
        factors=factors,
    )
    loader = DataLoader(
        trainer.train_dataset,
        batch_size=size,
        sampler=order,
        collate_fn=trainer.data_collator,
        pin_memory=trainer.args.dataloader_pin_memory,
    )
    return trainer.accelerator.prepare(loader)
