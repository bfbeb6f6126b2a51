"""What came of a study: the trials as a table, the best as a recipe, and which field mattered."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goemo_eval.errors import TuneError
from goemo_eval.files import write_atomic
from goemo_eval.models.recipes import Recipe, recipe_toml
from goemo_eval.tune.space import Space

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes
    ----------
    number : int
    state : {"complete", "pruned"}
    macro_f1 : float or None
        On validation; of a pruned trial its last epoch's, None if it had none.
    epochs : int
        Scored.
    seconds : float
    values : dict
        Of the searched fields.
    why : str
        Why it was pruned, where there is more to say than that it was behind.
    """

    number: int
    state: str
    macro_f1: float | None
    epochs: int
    seconds: float
    values: dict[str, Any]
    why: str


def finished_trials(study: optuna.Study) -> list[Trial]:
    """Return the finished trials, the best complete one first."""
    found = [
        Trial(
            number=trial.number,
            state=trial.state.name.lower(),
            macro_f1=trial.value,
            epochs=len(trial.intermediate_values),
            seconds=trial.duration.total_seconds() if trial.duration else 0.0,
            values=dict(trial.params),
            why=trial.user_attrs.get("why", ""),
        )
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name in ("COMPLETE", "PRUNED")
    ]
    return sorted(found, key=lambda t: (t.state, -(t.macro_f1 or 0.0), t.number))


def best_recipe(trials: list[Trial], space: Space, *, name: str) -> Recipe:
    """Return the recipe of the best complete trial.

    Raises
    ------
    TuneError
        If none is complete.
    """
    if not trials or trials[0].state != "complete":
        raise TuneError(f"no trial of {name} is complete: look at why, and widen the space")
    return space.recipe(trials[0].values, name=name)


def write_outcome(study: optuna.Study, space: Space, out: Path) -> Recipe:
    """Write ``best.toml``, ``trials.csv`` and, where it can be told, ``importance.png``.

    Returns
    -------
    Recipe
        The best one.
    """
    trials = finished_trials(study)
    recipe = best_recipe(trials, space, name="best")
    best, facts = trials[0], study.user_attrs
    rows = f"{facts['rows']} rows" if facts.get("rows") else "all rows"
    comment = (
        f"Trial {best.number} of {len(trials)} of study {study.study_name}: validation Macro-F1 "
        f"{best.macro_f1:.4f}.\n{facts['encoder']} {facts['scheme']}, {rows} of the training split "
        f"{facts['train'][:12]}, validation split {facts['validation'][:12]}, seed {facts['seed']}."
    )
    write_atomic(out / "best.toml", recipe_toml(recipe, comment=comment).encode())
    write_atomic(out / "trials.csv", _csv(trials, space.fields).encode())
    importance = field_importance(study)
    if importance:
        write_atomic(out / "importance.png", importance_plot(importance))
    return recipe


def _csv(trials: list[Trial], fields: tuple[str, ...]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "validation_macro_f1", "epochs", "seconds", *fields, "why"])
    for t in trials:
        values = [t.values.get(field) for field in fields]
        writer.writerow(
            [t.number, t.state, t.macro_f1, t.epochs, round(t.seconds, 1), *values, t.why]
        )
    return text.getvalue()


def field_importance(study: optuna.Study) -> dict[str, float]:
    """Return the share of the score's variance that each searched field explains.

    By functional ANOVA over a forest (Hutter, Hoos and Leyton-Brown, "An Efficient Approach for
    Assessing Hyperparameter Importance", ICML 2014). Empty with fewer than three complete trials
    or where all have one score: there is nothing to explain.
    """
    import optuna

    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(complete) < 3 or len({trial.value for trial in complete}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def importance_plot(importance: dict[str, float]) -> bytes:
    """Draw `field_importance` as a bar per field; return a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 0.8 + 0.4 * len(importance)), layout="constrained")
    axes = figure.subplots()
    names = list(importance)[::-1]
    bars = axes.barh(names, [importance[name] for name in names])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlim(0, 1.12)
    axes.set_xlabel("share of the variance of validation Macro-F1")
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
