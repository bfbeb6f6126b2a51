"""A cell under two versions of torch: what its decisions, logits and files share, and whether a loss is chance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.files import sha256_of_file
from goemo_eval.measure.significance import holm, swap_test
from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.records.flips import flips
from goemo_eval.records.schema import Record
from goemo_eval.records.verified import verified_decisions

DESCRIPTION = "artifact.json"
"""The one file of an artifact that names versions."""
FILES = "files.json"
"""Where the store lists an entry's files; its sha256 is the entry's."""
ALPHA = 0.05

Bools = npt.NDArray[np.bool_]


def two_sided(truth: Bools, one: Bools, other: Bools) -> float:
    """Return how often chance alone makes two sets of decisions differ that much in Macro-F1, either way.

    Parameters
    ----------
    truth, one, other : ndarray of bool, shape (N, K)
    """
    if (one == other).all():
        return 1.0
    either = (swap_test(truth, one, other), swap_test(truth, other, one))
    return min(1.0, 2 * min(test.macro_f1 for test in either))


def compare(reference: Record, other: Record) -> dict[str, Any]:
    """Pair a cell's test decisions with the reference's.

    Returns
    -------
    dict
        ``change`` of test Macro-F1 with ``low`` and ``high``, its 95 % interval; ``p``, of no change;
        ``flips``, decisions that differ, of ``decisions``; ``texts`` with one at least; ``truth_sha256``.

    Raises
    ------
    RecordError
        If the two cannot be compared.
    """
    changed = sum(label.flips for label in flips(reference, other))
    truth, before = verified_decisions(reference)
    _, after = verified_decisions(other)
    change = paired_bootstrap(truth, before, after)
    return {
        "change": change.point,
        "low": change.low,
        "high": change.high,
        "p": two_sided(truth, before, after),
        "flips": changed,
        "texts": int((before != after).any(axis=1).sum()),
        "decisions": truth.size,
    }


def facts(record: Record, store: Path) -> dict[str, Any]:
    """Return what a record says of a cell by itself."""
    assert record.scores is not None
    return {
        "test_macro_f1": record.scores.test.macro_f1,
        "size_bytes": record.size_bytes,
        "kernels": record.environment.kernels,
        "engine_version": record.environment.versions.get(record.cell.engine),
        "artifact": str(artifact_of(record, store)),
    }


def artifact_of(record: Record, store: Path) -> Path:
    """Return where a store keeps a record's artifact."""
    assert record.artifact is not None
    (entry,) = (store / "artifacts").glob(f"*-{record.artifact.key}")
    return entry / "content"


def files_of(artifact: Path) -> dict[str, str]:
    """Return name and sha256 of an artifact's files, but for the one that names versions."""
    entries = json.loads((artifact.parent / FILES).read_bytes())
    return {name: entry["sha256"] for name, entry in entries.items() if name != DESCRIPTION}


def logits_of(record: Record, store: Path) -> npt.NDArray[np.float32]:
    """Return a record's logits on the test split, shape (N, K)."""
    artifact = sha256_of_file(artifact_of(record, store).parent / FILES)
    for key in sorted((store / "logits").glob("*/key.json")):
        if json.loads(key.read_bytes())["artifact_sha256"] == artifact:
            found: npt.NDArray[np.float32] = np.load(
                key.parent / "content" / "test.npy", allow_pickle=False
            )
            return found
    raise FileNotFoundError(f"{store}: no logits of {record.cell.id}")


def table(
    records: Mapping[str, Sequence[Record]], stores: Mapping[str, Path]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return each cell under each version, beside the first version.

    Parameters
    ----------
    records : mapping of str to sequence of Record
        By version; the first is the reference.
    stores : mapping of str to Path

    Returns
    -------
    dict
        Cell -> version -> what `facts` and, but for the reference, `compare` say, with the largest
        distance of a logit (``logits_apart``), whether the artifact's files are the same (``same_files``), and
        ``holm``: the p-value corrected for all that are in the table.
    """
    reference, *others = records
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for record in records[reference]:
        beside = found[record.cell.id] = {reference: facts(record, stores[reference])}
        ours, files = logits_of(record, stores[reference]), _files(record, stores[reference])
        for name in others:
            twin = next((r for r in records[name] if r.cell == record.cell), None)
            if twin is None or twin.scores is None:
                continue
            beside[name] = {
                **facts(twin, stores[name]),
                **compare(record, twin),
                "logits_apart": float(np.abs(logits_of(twin, stores[name]) - ours).max()),
                "same_files": _files(twin, stores[name]) == files,
            }
    rows = [row for beside in found.values() for row in beside.values() if "p" in row]
    for row, corrected in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["holm"] = float(corrected)
    return found


def _files(record: Record, store: Path) -> dict[str, str]:
    return files_of(artifact_of(record, store))
