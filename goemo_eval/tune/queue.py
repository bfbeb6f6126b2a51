"""The points of a study that wait to be tried, and which of its trials count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import optuna

RETRY_OF = "retry_of"
"""Of a trial whose point was queued again: the number of the trial that was lost first."""
_POINT = "point"


def queue_points(study: optuna.Study, points: Iterable[Mapping[str, Any]]) -> None:
    """Queue the points that are known beforehand and are not in the study yet."""
    there = {_place(trial) for trial in study.get_trials(deepcopy=False)}
    for i, point in enumerate(points):
        if i not in there:
            study.enqueue_trial(dict(point), user_attrs={_POINT: i})


def queue_again(study: optuna.Study, trial: Any) -> None:
    """Queue the point of a trial that was lost, if a point it has."""
    origin = trial.user_attrs.get(RETRY_OF, trial.number)
    attributes = {RETRY_OF: origin}
    if _place(trial) is not None:
        attributes[_POINT] = _place(trial)
    point = trial.system_attrs.get("fixed_params") or trial.params
    study.enqueue_trial(point, user_attrs=attributes)


def _place(trial: Any) -> int | None:
    """Return which of the points known beforehand a trial has."""
    place: int | None = trial.user_attrs.get(_POINT)
    return place


def alive(trials: list[Any]) -> list[Any]:
    """Return the trials that count: without the failed, and without later copies of a point."""
    found: dict[Any, Any] = {}
    for trial in sorted((t for t in trials if t.state.name != "FAIL"), key=lambda t: t.number):
        place = _place(trial)
        found.setdefault(("own", trial.number) if place is None else place, trial)
    return sorted(found.values(), key=lambda t: t.number)


def is_surplus(study: optuna.Study, number: int, n_trials: int) -> bool:
    """Say whether a trial is a later copy or beyond the number asked for.

    The storage numbers trials one after the other, so that every worker comes to the same answer.
    """
    counted = alive(study.get_trials(deepcopy=False))
    return number not in {trial.number for trial in counted[:n_trials]}


def is_finished(trial: Any) -> bool:
    """Say whether a trial came to its end, by itself or pruned."""
    return trial.state.name in ("COMPLETE", "PRUNED")
