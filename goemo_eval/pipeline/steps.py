"""The steps from a checkpoint to scores: convert, predict, decide.

Each is a function of a run and a cell, and asks the step before it (the first asks `fit`) for what it needs; what the store
holds under the step's key is not computed again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import has_dot_products, isa_limit
from goemo_eval.engines.artifact import Variant
from goemo_eval.engines.registry import ENGINES, LINEAR
from goemo_eval.measure.environment import versions
from goemo_eval.measure.scenarios import texts_sha256
from goemo_eval.models.mixture import is_mixed
from goemo_eval.pipeline.children import in_fork, in_new_process
from goemo_eval.pipeline.decide import Scored, decide
from goemo_eval.pipeline.fitting import Run, fit, splits_sha256
from goemo_eval.pipeline.keys import (
    ConvertKey,
    DecideKey,
    PredictKey,
    RepairKey,
    digest_of,
    machine,
)
from goemo_eval.pipeline.store import Entry
from goemo_eval.pipeline.work import (
    PROCESS,
    REPAIR,
    convert_checkpoint,
    predict_artifact,
    repair_variant,
)
from goemo_eval.records.schema import Cell, PrecisionSearch

CALIBRATION_TEXTS = 256
"""Training texts, spread evenly over the split, on which an engine fits its INT8 ranges."""
PROBE_TEXTS = 32
"""Test texts that a cell which is not scored is run on, to see what its process takes."""


@dataclass(frozen=True)
class Converted:
    """A cell's artifact, and how its variant was found."""

    entry: Entry
    key: ConvertKey
    search: dict[str, Any] | None
    """What the repair of INT8 found; None where none was needed."""


@dataclass(frozen=True)
class Predicted:
    """A cell's logits by split, and what the process that computed them took."""

    entry: Entry
    process: dict[str, Any]

    def logits(self, split: str, *, single: bool = False) -> npt.NDArray[np.float32]:
        """Return logits of shape (N, K), of the scored batches or of single texts."""
        found: npt.NDArray[np.float32] = np.load(
            self.entry.content / f"{split}{'-single' if single else ''}.npy", allow_pickle=False
        )
        return found


def convert(run: Run, cell: Cell) -> Converted:
    """Return a cell's artifact; of an INT8 cell that loses too much, the repaired one.

    Raises
    ------
    GoemoError
        As `fit` does, or if the engine cannot convert the checkpoint.
    CellError
        If a process died.
    """
    plain = _convert(run, cell, Variant(engine=cell.engine, precision=cell.precision))
    if cell.precision != "int8" or cell.engine == LINEAR or run.plan.int8_repair == "never":
        return plain
    if fit(run, cell).unscored_reason is not None:
        return plain
    lost = _lost(run, cell, plain)
    if lost is None:
        return plain
    found = _repair(run, cell, plain, least=lost["least"])
    variant = plain.key.variant.model_copy(
        update={"smoothed": found["smoothed"], "kept_fp32": tuple(found["kept_fp32"])}
    )
    repaired = _convert(run, cell, variant)
    return Converted(repaired.entry, repaired.key, {**lost, **found})


def artifact(run: Run, cell: Cell) -> Entry:
    """Return a cell's artifact with its files verified, made again if they were damaged."""
    return _convert(run, cell, convert(run, cell).key.variant, read=True).entry


def predict(run: Run, cell: Cell) -> Predicted:
    """Return a cell's logits on validation and test, or a probe's of a cell that is not scored."""
    return _predict(run, cell, convert(run, cell))


def scores(run: Run, cell: Cell) -> Scored | None:
    """Return what a cell scores, INT8 and BF16 by its FP32 twin's thresholds; None of one that is not scored."""
    if fit(run, cell).unscored_reason is not None:
        return None
    return _decide(run, cell, predict(run, cell))[0]


def search_of(run: Run, converted: Converted) -> PrecisionSearch | None:
    """Return how an INT8 cell was repaired, as its record tells it."""
    found = converted.search
    if found is None:
        return None
    return PrecisionSearch(
        budget=run.plan.int8_budget,
        plain_validation_macro_f1=found["plain_validation_macro_f1"],
        plain_test_macro_f1=found["plain_test_macro_f1"],
        smoothed_validation_macro_f1=found["smoothed_macro_f1"],
        validation_macro_f1=found["macro_f1"],
        within_budget=found["macro_f1"] >= found["least"],
        int8_share=found["int8_share"],
        passes=found["passes"],
        seconds=found["seconds"],
    )


def _convert(run: Run, cell: Cell, variant: Variant, *, read: bool = False) -> Converted:
    plan, checkpoint = run.plan, fit(run, cell).checkpoint
    engine = ENGINES[cell.engine]
    calibration: list[str] = []
    if engine.calibrates and variant.precision == "int8":
        calibration = spread(plan.dataset.splits["train"].texts, CALIBRATION_TEXTS)
    key = ConvertKey(
        cell=_name(run, cell),
        checkpoint_sha256=checkpoint.content_sha256,
        max_length=checkpoint.max_length,
        variant=variant,
        calibration_sha256=texts_sha256(calibration) if calibration else None,
        versions=versions(("goemo-eval", *engine.converted_by)),
        dot_products=has_dot_products(),
        isa_limit=isa_limit(),
    )

    def make(out: Path) -> None:
        fp32 = None
        if engine.traces and variant.precision != "fp32" and not variant.smoothed:
            plain = Variant(engine=cell.engine, precision="fp32")
            fp32 = _convert(run, cell.at("fp32"), plain, read=True).entry.content
        in_fork(
            convert_checkpoint,
            checkpoint,
            variant,
            calibration=calibration,
            threads=plan.threads,
            out=out,
            fp32=fp32,
        )

    return Converted(run.store.get_or(key, make, read=read), key, None)


def _predict(run: Run, cell: Cell, converted: Converted) -> Predicted:
    plan = run.plan
    texts = plan.task(cell.scheme).texts
    if fit(run, cell).unscored_reason is None:
        wanted = {name: texts[name] for name in ("validation", "test")}
    else:
        wanted = {"probe": texts["test"][:PROBE_TEXTS]}
    # Logits of INT8 and BF16 depend on what shares a batch: how much, is seen on the test split.
    alone = ["test"] if cell.precision != "fp32" and "test" in wanted else []
    key = PredictKey(
        cell=_name(run, cell),
        artifact_sha256=converted.entry.sha256,
        texts_sha256={name: texts_sha256(rows) for name, rows in wanted.items()},
        one_at_a_time=bool(alone),
        threads=plan.threads,
        versions=versions(("goemo-eval", *ENGINES[cell.engine].run_by, *_beside(cell))),
        **machine(),
    )

    def make(out: Path) -> None:
        # Its files are about to be read: they are verified first.
        verified = _convert(run, cell, converted.key.variant, read=True).entry
        in_new_process(
            predict_artifact,
            verified.content,
            wanted,
            one_at_a_time=alone,
            threads=plan.threads,
            out=out,
        )

    entry = run.store.get_or(key, make)
    return Predicted(entry, json.loads((entry.content / PROCESS).read_bytes()))


def _name(run: Run, cell: Cell) -> str:
    """Return the cell that artifact and logits are named after: schemes may share a stand-in, and these with it."""
    fitted = fit(run, cell)
    if fitted.unscored_reason is None:
        return cell.id
    return cell.model_copy(update={"scheme": fitted.checkpoint.scheme}).id


def _beside(cell: Cell) -> tuple[str, ...]:
    """Return what runs the floor beside an encoder."""
    return ENGINES[LINEAR].run_by if is_mixed(cell.encoder) else ()


def _decide(run: Run, cell: Cell, predicted: Predicted) -> tuple[Scored, Entry]:
    plan, task = run.plan, run.plan.task(cell.scheme)
    reference: tuple[Scored, Entry] | None = None
    if cell.precision != "fp32":
        twin = cell.at("fp32")
        reference = _decide(run, twin, predict(run, twin))
    key = DecideKey(
        cell=cell.id,
        logits_sha256=predicted.entry.sha256,
        targets_sha256=_targets_sha256(run, cell),
        strategy=plan.strategy_of(cell.encoder, cell.scheme),
        reference_sha256=reference[1].sha256 if reference else None,
        versions=versions(("goemo-eval", "scikit-learn", "numpy", "scipy")),
    )

    def make(out: Path) -> None:
        found = decide(
            {name: predicted.logits(name) for name in ("validation", "test")},
            task,
            key.strategy,
            reference=reference[0] if reference else None,
        )
        (out / "scored.json").write_text(found.model_dump_json() + "\n", encoding="utf-8")

    entry = run.store.get_or(key, make)
    return Scored.model_validate_json((entry.content / "scored.json").read_bytes()), entry


def _lost(run: Run, cell: Cell, plain: Converted) -> dict[str, Any] | None:
    """Say what plain INT8 lost, if it lost more than its budget on validation."""
    twin = scores(run, cell.at("fp32"))
    own, _ = _decide(run, cell, _predict(run, cell, plain))
    assert twin is not None
    least = twin.scores.validation.macro_f1 - run.plan.int8_budget
    if own.scores.validation.macro_f1 >= least:
        return None
    return {
        "least": least,
        "plain_validation_macro_f1": own.scores.validation.macro_f1,
        "plain_test_macro_f1": own.scores.test.macro_f1,
    }


def _repair(run: Run, cell: Cell, plain: Converted, *, least: float) -> dict[str, Any]:
    plan, task = run.plan, run.plan.task(cell.scheme)
    twin = scores(run, cell.at("fp32"))
    assert twin is not None
    thresholds = twin.fitted_thresholds
    key = RepairKey(
        cell=cell.id,
        plain=plain.key,
        validation_sha256=_targets_sha256(run, cell),
        thresholds_sha256=None if thresholds is None else digest_of(thresholds.values.tolist()),
        least=least,
        threads=plan.threads,
        isa_flags=machine()["isa_flags"],
    )

    def make(out: Path) -> None:
        in_fork(
            repair_variant,
            fit(run, cell).checkpoint,
            cell.engine,
            texts=task.texts["validation"],
            targets=task.targets["validation"],
            labels=task.scheme.labels,
            thresholds=thresholds,
            least=least,
            calibration=spread(plan.dataset.splits["train"].texts, CALIBRATION_TEXTS),
            threads=plan.threads,
            out=out,
            scratch=run.store.scratch("repair"),
        )

    entry = run.store.get_or(key, make)
    found: dict[str, Any] = json.loads((entry.content / REPAIR).read_bytes())
    return found


def _targets_sha256(run: Run, cell: Cell) -> str:
    """Return the hash of the texts and targets that a cell is scored on."""
    return splits_sha256(run, cell, "validation", "test")


def spread(texts: Sequence[str], count: int) -> list[str]:
    """Return `count` texts, or all if there are fewer, evenly spaced over a split.

    Examples
    --------
    >>> spread("abcdefg", 3)
    ['a', 'c', 'e']
    """
    if count >= len(texts):
        return [*texts]
    return [texts[i * len(texts) // count] for i in range(count)]
