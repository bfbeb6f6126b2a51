"""The cells that are timed: their artifacts, made once, and the Macro-F1 that each has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from goemo_eval.cpu import isa_limit
from goemo_eval.data.task import Task
from goemo_eval.engines.artifact import Variant
from goemo_eval.engines.base import Predictor, logits
from goemo_eval.engines.registry import converter, load, missing_engine
from goemo_eval.frozen import DEFAULT_PRECISIONS
from goemo_eval.measure.scoring import fit_thresholds, score_logits
from goemo_eval.measure.statistics import paired_bootstrap
from goemo_eval.measure.thresholds import apply_thresholds, sigmoid
from goemo_eval.models.checkpoint import read_checkpoint
from goemo_eval.pipeline.steps import CALIBRATION_TEXTS, spread

from .settings import Settings
from .turns import in_turns

MOST_LOSS = 0.005
TOLD = ("names", "scores", "probe_s")
"""Of what was chosen, that which says something elsewhere: the rest are directories."""
_PROBE_TEXTS, _PROBE_ROUNDS = 512, 3


def engines() -> list[str]:
    """Return the engines that keep to the limit in force: ONNX Runtime reads none."""
    names = ("torch", "onnxruntime", "openvino")
    obeying = [name for name in names if not (isa_limit() and name == "onnxruntime")]
    return [name for name in obeying if missing_engine(name) is None]


def artifacts(settings: Settings, checkpoint: Path, train: Sequence[str]) -> dict[str, Path]:
    """Return the artifact of every engine and precision, by its name; those that lack are made."""
    found: dict[str, Path] = {}
    source = read_checkpoint(checkpoint)
    where = settings.kept / "artifacts" / f"{source.content_sha256[:16]}-{isa_limit() or 'all'}"
    for engine in engines():
        names = {precision: where / f"{engine}-{precision}" for precision in DEFAULT_PRECISIONS}
        if not all((path / "artifact.json").is_file() for path in names.values()):
            made = converter(
                source,
                engine,
                calibration=spread(train, CALIBRATION_TEXTS),
                threads=settings.threads,
            )
            for precision, path in names.items():
                path.mkdir(parents=True, exist_ok=True)
                for file in path.iterdir():
                    file.unlink()
                made.write(Variant.model_validate({"engine": engine, "precision": precision}), path)
        found |= {f"{engine} {precision}": path for precision, path in names.items()}
    return found


def floor(settings: Settings, task: Task) -> Path:
    """Return the floor's FP32 artifact; it is fitted if it lacks."""
    from goemo_eval.engines.registry import convert
    from goemo_eval.models.linear import fit_linear

    where = settings.kept / f"floor-{task.sha256['train'][:16]}"
    if not (where / "artifact" / "artifact.json").is_file():
        for name in ("checkpoint", "artifact"):
            (where / name).mkdir(parents=True, exist_ok=True)
            for file in (where / name).iterdir():
                file.unlink()
        checkpoint = fit_linear(task, out=where / "checkpoint")
        variant = Variant(engine="linear", precision="fp32")
        convert(checkpoint, variant, where / "artifact", threads=1)
    return where / "artifact"


def choose(settings: Settings, *, began: float) -> dict[str, Any]:
    """Make the artifacts and choose: the fastest FP32, the fastest that loses little, and the same of few layers.

    Macro-F1 is that of per-label thresholds fitted on validation to each cell's own scores. What may lose
    0.005 is judged on validation; test is scored once, for the page.
    """
    del began
    task = settings.task()
    paths = artifacts(settings, settings.checkpoint, task.texts["train"])
    rates = _rates(paths, task.texts["validation"], settings.threads)
    order = sorted(rates, key=lambda name: rates[name])
    fp32 = next(name for name in order if name.endswith("fp32"))
    scored = {fp32: _score(load(paths[fp32], threads=settings.threads), task)}
    best = fp32
    for name in order[: order.index(fp32)]:
        scored[name] = _score(load(paths[name], threads=settings.threads), task)
        if scored[fp32]["validation"] - scored[name]["validation"] <= MOST_LOSS:
            best = name
            break
    found: dict[str, Any] = {
        "fp32": str(paths[fp32]),
        "best": str(paths[best]),
        "floor": str(floor(settings, task)),
        "all": {name: str(path) for name, path in paths.items()},
        "probe_s": {name: rates[name] for name in order},
        "names": {"fp32": fp32, "best": best, "floor": "linear fp32"},
    }
    if settings.layers:
        found["layers"] = str(artifacts(settings, settings.layers, task.texts["train"])[best])
        found["names"]["layers"] = best
        scored["layers"] = _score(load(Path(found["layers"]), threads=settings.threads), task)
    scored["floor"] = _score(load(Path(found["floor"]), threads=settings.threads), task)
    found["scores"] = {
        name: {
            "validation": entry["validation"],
            "test": entry["test"],
            "test_loss": _loss(scored[fp32]["decisions"], entry["decisions"], task),
        }
        for name, entry in scored.items()
    }
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]


def _rates(paths: dict[str, Path], texts: Sequence[str], threads: int) -> dict[str, float]:
    """Return each cell's seconds for some texts: which comes first is decided by these alone."""
    some = list(texts[:_PROBE_TEXTS])
    loaded = {name: load(path, threads=threads) for name, path in paths.items()}
    calls = {name: _scoring(predictor, some) for name, predictor in loaded.items()}
    seconds, _ = in_turns(calls, rounds=_PROBE_ROUNDS)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def _scoring(predictor: Predictor, texts: Sequence[str]) -> Any:
    return lambda _: logits(predictor, texts)


def _score(predictor: Predictor, task: Task) -> dict[str, Any]:
    found = {name: logits(predictor, task.texts[name]) for name in ("validation", "test")}
    return scores_of(found, task)


def scores_of(found: dict[str, npt.NDArray[np.float32]], task: Task) -> dict[str, Any]:
    """Return validation and test Macro-F1 of logits, thresholds fitted on validation, and the test's decisions."""
    thresholds = fit_thresholds(
        found["validation"],
        task.targets["validation"],
        strategy="per-label",
        fitted_on=task.sha256["validation"],
    )
    scores = {
        name: score_logits(
            found[name],
            task.targets[name],
            labels=task.scheme.labels,
            split_sha256=task.sha256[name],
            thresholds=thresholds,
            in_sample=name == "validation",
        ).macro_f1
        for name in ("validation", "test")
    }
    return {**scores, "decisions": apply_thresholds(sigmoid(found["test"]), thresholds)}


def _loss(baseline: Any, candidate: Any, task: Task) -> list[float]:
    """Return the test Macro-F1 that a candidate loses, and its 95 % interval."""
    change = paired_bootstrap(task.targets["test"], baseline, candidate)
    return [-change.point, -change.high, -change.low]
