"""What a transformers config says of labels, kind of problem and length, read strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from goemo_eval.data.words import check_label_names, shown
from goemo_eval.errors import CheckpointError, DataError

Kind = Literal["multilabel", "multiclass"]

PROBLEM_TYPES: dict[str, Kind] = {
    "multi_label_classification": "multilabel",
    "single_label_classification": "multiclass",
}
# Their positions are counted from the padding token's id on, so that a few rows are never used.
_COUNTED_FROM_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "layoutlmv3",
        "lilt",
        "longformer",
        "luke",
        "markuplm",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
_POSITIONS = ("max_position_embeddings", "n_positions")
# Relative positions of any distance: the number that these state is no limit.
_NO_LIMIT = frozenset({"t5", "mt5", "umt5", "xlnet", "bloom", "mpt"})


def labels_of(config: Mapping[str, Any], *, file: Path) -> tuple[str, ...]:
    """Return the label names of a config, in column order.

    Parameters
    ----------
    config : mapping
        A ``config.json``.
    file : Path
        Where it was read from, for messages.

    Raises
    ------
    CheckpointError
        If ``id2label`` names no labels, leaves one out, names one twice, or ``label2id`` says
        otherwise.
    """
    names = config.get("id2label")
    if not isinstance(names, dict) or not names:
        raise CheckpointError(
            f"{file}: id2label is {shown(names)}: set it to the scheme's labels in column order"
        )
    for key in ("num_labels", "_num_labels"):
        if config.get(key) not in (None, len(names)):
            raise CheckpointError(
                f"{file}: id2label has {len(names)} labels, but {key} says "
                f"{shown(config[key])}: set both to the head that was trained"
            )
    wanted = [str(i) for i in range(len(names))]
    if missing := [i for i in wanted if i not in names]:
        raise CheckpointError(
            f"{file}: id2label has {len(names)} labels but none of id {missing[0]}: number them from 0 without a gap"
        )
    labels = tuple(names[i] for i in wanted)
    try:
        check_label_names(labels, where=f"{file}: id2label")
    except DataError as error:
        raise CheckpointError(str(error)) from None
    if all(label == f"LABEL_{i}" for i, label in enumerate(labels)):
        raise CheckpointError(
            f"{file}: id2label names no labels (LABEL_0 and so on): set it to the scheme's labels in column order"
        )
    _check_label2id(config.get("label2id"), labels, file)
    return labels


def _check_label2id(ids: Any, labels: Sequence[str], file: Path) -> None:
    if ids is None or ids == {f"LABEL_{i}": i for i in range(len(labels))}:
        return  # the default, which says nothing
    if not isinstance(ids, dict):
        raise CheckpointError(f"{file}: label2id is {type(ids).__name__}: expected an object")
    for i, label in enumerate(labels):
        if ids.get(label) != i or type(ids[label]) is not int:
            raise CheckpointError(
                f"{file}: id2label says that column {i} is {label!r}, but label2id says "
                f"{shown(ids.get(label))} for it: set both to the order that it was trained with"
            )
    if other := sorted(set(ids) - set(labels)):
        raise CheckpointError(
            f"{file}: label2id names {shown(other[0])}, which id2label does not: set both to "
            "the order that it was trained with"
        )


def kind_of(config: Mapping[str, Any], *, file: Path) -> Kind | None:
    """Return which kind of problem a config says that it was trained for; None if it does not say.

    Raises
    ------
    CheckpointError
        If it is a regression, or no kind of transformers'.
    """
    problem = config.get("problem_type")
    if problem is None:
        return None
    if not isinstance(problem, str) or problem not in PROBLEM_TYPES:
        raise CheckpointError(
            f"{file}: problem_type {shown(problem)}: expected "
            f"{' or '.join(map(repr, PROBLEM_TYPES))}"
        )
    return PROBLEM_TYPES[problem]


def positions_of(config: Mapping[str, Any]) -> int | None:
    """Return how many tokens a config's positions hold; None where it states no limit.

    Examples
    --------
    >>> positions_of({"model_type": "bert", "max_position_embeddings": 512})
    512
    >>> positions_of({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1})
    512
    """
    if config.get("model_type") in _NO_LIMIT:
        return None
    stated = next((n for key in _POSITIONS if type(n := config.get(key)) is int), None)
    if stated is None or stated <= 0:
        return None
    if config.get("model_type") in _COUNTED_FROM_PADDING:
        pad = config.get("pad_token_id")
        return max(0, stated - (pad if type(pad) is int else 1) - 1)
    return stated
