"""One cell, end to end: from splits and weights to a record.

A `Workbench` keeps what cells share (splits, checkpoints, the FP32 twin of an INT8 cell), so
that a matrix of cells trains, loads and scores nothing twice.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import has_dot_products, isa_limit
from goemo_eval.data.schemes import Scheme, get_scheme
from goemo_eval.data.sources import load_split
from goemo_eval.data.splits import SPLIT_NAMES, Split
from goemo_eval.engines.base import Classifier, Model
from goemo_eval.engines.registry import load_model
from goemo_eval.measure.environment import (
    Environment,
    cpu,
    git_commit,
    load_average,
    platform_name,
    python_version,
    versions,
)
from goemo_eval.measure.latency import (
    SHAPES,
    Latency,
    latency_batches,
    rounds_within,
    summarize_times,
    time_forward,
    time_split_interleaved,
)
from goemo_eval.measure.memory import peak_rss_bytes, reset_peak_rss
from goemo_eval.measure.scoring import score_logits
from goemo_eval.models.checkpoint import Checkpoint
from goemo_eval.models.recipes import Recipe
from goemo_eval.pipeline.checkpoints import Obtained, kept_dir, obtain
from goemo_eval.pipeline.decide import Logits, Task, scored_fields, task_of, thresholds_of
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.repair import RANKING_TEXTS, rank_layers, search_precision
from goemo_eval.pipeline.store import key_of, npz_bytes, write_atomic
from goemo_eval.records.schema import (
    Cell,
    Data,
    PrecisionSearch,
    Record,
    Speedup,
    SplitData,
    SplitScores,
    WeightsEntry,
)

NO_DOT_PRODUCTS = (
    "goemo-eval: no INT8 dot-product instructions (VNNI) here, or forbidden by --isa: INT8 gives up a "
    "bit lest sums saturate, scores differently than on a CPU with VNNI, and gains less speed"
)
CALIBRATION_TEXTS = 256
"""Training texts, spread evenly over the split, on which an engine fits its INT8 ranges."""


class Workbench:
    """Measures cells under one plan, and keeps what they share.

    Use it as a context manager: untrained checkpoints are written to a temporary directory
    that is removed at the end.

    Parameters
    ----------
    plan : Plan
    splits : mapping of str to Split, optional
        The splits, where they are at hand; loaded from the plan's source otherwise.
    """

    def __init__(self, plan: Plan, splits: Mapping[str, Split] | None = None) -> None:
        self.plan = plan
        if splits is not None:
            self.splits = dict(splits)
        self._scratch = Path(tempfile.mkdtemp(prefix="goemo-eval-"))
        self._tasks: dict[str, Task] = {}
        self._obtained: dict[tuple[str, str, int], Obtained] = {}
        self._logits: dict[str, Logits] = {}
        self._measured: dict[str, Record] = {}
        self._models: dict[tuple[str | int, ...], Model] = {}
        self._classifiers: dict[tuple[str | int, ...], Classifier] = {}

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary checkpoints."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    @cached_property
    def splits(self) -> dict[str, Split]:
        """The three splits of the plan's source."""
        return {name: load_split(self.plan.source, name) for name in SPLIT_NAMES}

    def task(self, scheme_name: str) -> Task:
        """Apply a scheme to the validation and test splits."""
        if scheme_name not in self._tasks:
            self._tasks[scheme_name] = task_of(self.scheme(scheme_name), self.splits)
        return self._tasks[scheme_name]

    def scheme(self, name: str) -> Scheme:
        """Look up a scheme under the plan's dominance rule."""
        rule = self.plan.dominance
        if rule == "auto":
            rule = "frequent" if self.splits["train"].votes is None else "votes"
        return get_scheme(name, rule)

    def obtain(self, encoder_name: str, scheme_name: str, seed: int = 0) -> Obtained:
        """Find a cell's checkpoint, fine-tune it, or build an untrained stand-in, once.

        Raises
        ------
        CheckpointError
            If a checkpoint is altered or does not fit the scheme, or an encoder is unknown.
        """
        key = (encoder_name, scheme_name, seed)
        if key not in self._obtained:
            scheme = self.scheme(scheme_name)
            self._obtained[key] = obtain(
                self.plan, encoder_name, scheme, self.splits, seed=seed, scratch=self._scratch
            )
        return self._obtained[key]

    def checkpoint_dir(self, encoder_name: str, scheme_name: str, seed: int = 0) -> Path:
        """Return where the store keeps the checkpoint of a cell, or would keep it."""
        scheme = self.scheme(scheme_name)
        return kept_dir(self.plan, encoder_name, scheme, self.splits, seed=seed)

    def recipe(self, encoder_name: str, scheme_name: str) -> Recipe:
        """Return the plan's recipe for an encoder under a scheme."""
        return self.plan.recipe.for_cell(encoder_name, scheme_name)

    def model(self, cell: Cell) -> Model:
        """Load a cell's checkpoint into its engine, keeping only one checkpoint in memory."""
        key = _key(cell)[:4]
        if key not in self._models:
            self._models = {k: m for k, m in self._models.items() if k[:3] == key[:3]}
            self._classifiers = {i: c for i, c in self._classifiers.items() if i[:3] == key[:3]}
            self._models[key] = load_model(
                self.obtain(cell.encoder, cell.scheme, cell.seed).checkpoint,
                cell.engine,
                threads=self.plan.threads,
                calibration=spread(self.splits["train"].texts, CALIBRATION_TEXTS),
            )
        return self._models[key]

    def classifier(self, cell: Cell) -> Classifier:
        """Load a cell, keeping only the cells of one checkpoint in memory."""
        key = _key(cell)
        model = self.model(cell)
        if key not in self._classifiers:
            self._classifiers[key] = model.classifier(cell.precision)
        return self._classifiers[key]

    def measure(self, cell: Cell) -> Record:
        """Score a cell and time it over the test split, once.

        An INT8 cell is measured against its FP32 twin: scored with the twin's thresholds and
        with its own, and timed in turns with it and with torch's FP32.

        Returns
        -------
        Record
            Without the latencies per batch: see `time_batches`.
        """
        if cell.id not in self._measured:
            self._measured[cell.id] = self._measure(cell)
        return self._measured[cell.id]

    def _measure(self, cell: Cell) -> Record:
        twin = self.measure(cell.at("fp32")) if cell.precision == "int8" else None
        if twin is not None and not has_dot_products():
            warnings.warn(NO_DOT_PRODUCTS, stacklevel=2)
        load_start = load_average()
        resettable = reset_peak_rss()
        obtained = self.obtain(cell.encoder, cell.scheme, cell.seed)
        task = self.task(cell.scheme)
        classifier = self.classifier(cell)
        fields: dict[str, Any] = {"unscored_reason": obtained.unscored_reason}
        logits = None
        if obtained.unscored_reason is None:
            logits = self.logits(cell)
            scored = self._score(cell, logits, twin)
            if twin is not None and (search := self._repair(cell, scored["scores"], task, twin)):
                classifier = self.classifier(cell)
                del self._logits[cell.id]
                logits = self.logits(cell)
                scored = self._score(cell, logits, twin)
                fields["precision_search"] = search
            fields |= scored
        fields |= self._time_split(cell, classifier, task.texts["test"])
        record = Record(
            cell=cell,
            kind=task.scheme.kind,
            labels=task.scheme.labels,
            dominance=task.scheme.dominance,
            data=self.data(),
            weights=WeightsEntry(
                kind=obtained.checkpoint.weights,
                sha256=obtained.checkpoint.sha256,
                base_sha256=obtained.checkpoint.base_sha256,
            ),
            recipe=self._recipe_of(cell, obtained.checkpoint),
            parameters=classifier.parameters,
            size_bytes=classifier.size_bytes,
            peak_rss_bytes=peak_rss_bytes() if resettable else None,
            kept_fp32=classifier.kept_fp32,
            environment=environment(classifier, self.plan.threads, load_start),
            **fields,
        )
        if logits is not None:
            self._keep(record, logits)
        return record

    def _repair(
        self, cell: Cell, plain: SplitScores, task: Task, twin: Record
    ) -> PrecisionSearch | None:
        """Keep layers of an INT8 cell in FP32 if it lost more than its budget on validation."""
        assert twin.scores is not None
        least = twin.scores.validation.macro_f1 - self.plan.int8_budget
        if self.plan.int8_repair == "never" or plain.validation.macro_f1 >= least:
            return None
        texts, targets = task.texts["validation"], task.targets["validation"]
        thresholds = thresholds_of(twin)

        def macro_f1(logits: npt.NDArray[np.float32]) -> float:
            scores = score_logits(
                logits,
                targets,
                labels=task.scheme.labels,
                split_sha256=self.splits["validation"].sha256,
                thresholds=thresholds,
                in_sample=True,  # validation is what choices are made on
            )
            return scores.macro_f1

        began = time.perf_counter()
        # Torch's layers are the quickest to quantize one by one, and have the names of all others.
        in_torch = self.model(cell.model_copy(update={"engine": "torch"}))
        ranking = rank_layers(in_torch, spread(texts, RANKING_TEXTS))
        found = search_precision(self.model(cell), ranking, texts, macro_f1, least=least)
        self._classifiers[_key(cell)] = found.classifier
        return PrecisionSearch(
            budget=self.plan.int8_budget,
            plain_validation_macro_f1=plain.validation.macro_f1,
            plain_test_macro_f1=plain.test.macro_f1,
            validation_macro_f1=found.macro_f1,
            within_budget=found.macro_f1 >= least,
            int8_share=found.int8_share,
            passes=found.passes,
            seconds=time.perf_counter() - began,
        )

    def logits(self, cell: Cell) -> Logits:
        """Return a cell's logits on the validation and test splits, computed or handed in once."""
        if cell.id not in self._logits:
            classifier, texts = self.classifier(cell), self.task(cell.scheme).texts
            self._logits[cell.id] = {
                name: classifier.logits(texts[name]) for name in ("validation", "test")
            }
        return self._logits[cell.id]

    def hand_in(self, cell: Cell, logits: Logits) -> None:
        """Take a cell's logits from elsewhere: see `goemo_eval.pipeline.executors`."""
        self._logits[cell.id] = logits

    def _recipe_of(self, cell: Cell, checkpoint: Checkpoint) -> dict[str, Any] | None:
        """Return a checkpoint's recipe with the threshold strategy that decides now."""
        if checkpoint.recipe is None:
            return None
        return checkpoint.recipe | {"threshold_strategy": self._strategy(cell)}

    def _strategy(self, cell: Cell) -> str:
        recipe = self.recipe(cell.encoder, cell.scheme)
        return self.plan.strategy or recipe.threshold_strategy

    def _score(self, cell: Cell, logits: Logits, twin: Record | None) -> dict[str, Any]:
        return scored_fields(
            logits,
            self.task(cell.scheme),
            sha256={name: split.sha256 for name, split in self.splits.items()},
            strategy=self._strategy(cell),
            twin=twin,
        )

    def _time_split(
        self, cell: Cell, classifier: Classifier, texts: Sequence[str]
    ) -> dict[str, Any]:
        """Time the test split: FP32 alone; INT8 in turns with its FP32 twin and with torch's."""
        references = []
        if cell.precision == "int8":
            torch_fp32 = cell.at("fp32").model_copy(update={"engine": "torch"})
            references = list(dict.fromkeys([cell.at("fp32"), torch_fp32]))
        *theirs, own = time_split_interleaved(
            [*map(self.classifier, references), classifier],
            texts,
            budget_s=self.plan.split_budget_s,
        )
        return {
            "split_latency_s": float(np.median(own)),
            "speedups": tuple(
                Speedup(reference=reference.id, reference_s=tuple(s), candidate_s=tuple(own))
                for reference, s in zip(references, theirs, strict=True)
            ),
        }

    def time_batches(self, cell: Cell, shape: str) -> Latency:
        """Time a cell per batch of 32, without pytest-benchmark."""
        classifier = self.classifier(cell)
        batches = latency_batches(classifier, self.task(cell.scheme).texts["test"], shape)
        time_forward(classifier, batches[0])
        rounds = rounds_within(
            time_forward(classifier, batches[0]), budget_s=self.plan.batch_budget_s
        )
        times = [time_forward(classifier, batches[i % len(batches)]) for i in range(rounds)]
        return summarize_times(times, batch_size=len(batches[0].rows), threads=self.plan.threads)

    def evaluate(self, cell: Cell) -> Record:
        """Measure a cell with both batch shapes."""
        record = self.measure(cell)
        latency = {shape: self.time_batches(cell, shape) for shape in SHAPES}
        return Record.model_validate(record.model_copy(update={"latency": latency}).model_dump())

    def data(self) -> Data:
        """Describe the splits for a record."""
        train = self.splits["train"]
        return Data(
            source=train.source,
            revision=train.revision,
            splits={n: SplitData(sha256=s.sha256, rows=len(s)) for n, s in self.splits.items()},
        )

    def _keep(self, record: Record, logits: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Keep record and logits of a finished cell in the store."""
        key = key_of(
            weights=record.weights.sha256,
            data={name: split.sha256 for name, split in record.data.splits.items()},
            versions=record.environment.versions,
            isa=record.environment.engine_isa,
        )
        folder = self.plan.store / "cells" / f"{record.cell.id}-{key}"
        write_atomic(folder / "logits.npz", npz_bytes(**logits))
        write_atomic(folder / "record.json", (record.model_dump_json(indent=1) + "\n").encode())


def spread(texts: Sequence[str], count: int) -> list[str]:
    """Return `count` texts, or all if there are fewer, evenly spaced over a split.

    Examples
    --------
    >>> spread("abcdefg", 3)
    ['a', 'c', 'e']
    """
    return (
        [texts[i * len(texts) // count] for i in range(count)] if count < len(texts) else [*texts]
    )


def _key(cell: Cell) -> tuple[str | int, ...]:
    return (cell.encoder, cell.scheme, cell.seed, cell.engine, cell.precision)


def environment(classifier: Classifier, threads: int, load_start: float | None) -> Environment:
    """Describe the machine and the engine that ran a classifier."""
    cpu_model, flags = cpu()
    return Environment(
        versions=versions(),
        python=python_version(),
        platform=platform_name(),
        cpu_model=cpu_model,
        isa_flags=flags,
        engine_isa=classifier.runtime.isa,
        kernels=classifier.runtime.kernels,
        quantized_engine=classifier.runtime.quantized_engine,
        threads=threads,
        load_start=load_start,
        load_end=load_average(),
        git_commit=git_commit(),
        isa_limit=isa_limit(),
    )
