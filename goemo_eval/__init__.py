"""Which text classifier to put on a CPU, at which precision and on which runtime.

The names below are the public API. They are imported on first use, so that importing
``goemo_eval`` loads neither torch nor transformers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from goemo_eval.data.dataset import Dataset as Dataset
    from goemo_eval.data.dataset import Split as Split
    from goemo_eval.data.schemes import Scheme as Scheme
    from goemo_eval.data.schemes import get_scheme as get_scheme
    from goemo_eval.data.sources import load_dataset as load_dataset
    from goemo_eval.deploy.bundle import Bundle as Bundle
    from goemo_eval.deploy.bundle import Prediction as Prediction
    from goemo_eval.deploy.bundle import load_bundle as load_bundle
    from goemo_eval.engines.classifier import Classifier as Classifier
    from goemo_eval.engines.classifier import load_classifier as load_classifier
    from goemo_eval.errors import GoemoError as GoemoError
    from goemo_eval.judge.gate import gate as gate
    from goemo_eval.judge.gate import gate_decisions as gate_decisions
    from goemo_eval.judge.verdict import Verdict as Verdict
    from goemo_eval.measure.metrics import Scores as Scores
    from goemo_eval.measure.metrics import score_predictions as score_predictions
    from goemo_eval.measure.statistics import Interval as Interval
    from goemo_eval.measure.statistics import paired_bootstrap as paired_bootstrap
    from goemo_eval.measure.statistics import score_interval as score_interval
    from goemo_eval.measure.thresholds import Thresholds as Thresholds
    from goemo_eval.measure.thresholds import apply_thresholds as apply_thresholds
    from goemo_eval.measure.thresholds import search_thresholds as search_thresholds
    from goemo_eval.records.files import read_records as read_records
    from goemo_eval.records.schema import Record as Record

__version__ = "0.1.0"

_HOME = {
    "Bundle": "deploy.bundle",
    "Classifier": "engines.classifier",
    "Dataset": "data.dataset",
    "GoemoError": "errors",
    "Interval": "measure.statistics",
    "Prediction": "deploy.bundle",
    "Record": "records.schema",
    "Scheme": "data.schemes",
    "Scores": "measure.metrics",
    "Split": "data.dataset",
    "Thresholds": "measure.thresholds",
    "Verdict": "judge.verdict",
    "apply_thresholds": "measure.thresholds",
    "gate": "judge.gate",
    "gate_decisions": "judge.gate",
    "get_scheme": "data.schemes",
    "load_bundle": "deploy.bundle",
    "load_classifier": "engines.classifier",
    "load_dataset": "data.sources",
    "paired_bootstrap": "measure.statistics",
    "read_records": "records.files",
    "score_interval": "measure.statistics",
    "score_predictions": "measure.metrics",
    "search_thresholds": "measure.thresholds",
}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604 - the keys are strings


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
