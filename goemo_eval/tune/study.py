"""The study: trials that any number of workers share through one storage, none run twice.

Optuna keeps the trials and proposes the points of TPE. The points of a grid and of a random
search are known beforehand: they are queued, and workers take them. What Optuna leaves open is
settled here: two workers that queue at once (the later copies are dropped), a worker that dies
(its heartbeat ends, and its point is queued again), and the exact end of the study.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from goemo_eval.data.dataset import random_rows, subset
from goemo_eval.errors import DivergedError, TuneError
from goemo_eval.measure.scoring import validation_score
from goemo_eval.models.distillation import Teacher
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.training import fine_tune
from goemo_eval.models.validation import Validation
from goemo_eval.models.weights import find_weights
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.keys import digest_of
from goemo_eval.pipeline.teaching import learned, lessons_of
from goemo_eval.progress import progress
from goemo_eval.tune.queue import (
    RETRY_OF,
    alive,
    is_finished,
    is_surplus,
    queue_again,
    queue_points,
)
from goemo_eval.tune.space import Space
from goemo_eval.tune.storage import open_storage, out_of_reach

if TYPE_CHECKING:
    import optuna

Sampler = Literal["grid", "random", "tpe"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
_TPE_STARTUP = 10
_WHY = "why"


@dataclass(frozen=True)
class Search:
    """What a study does, apart from where it is kept.

    Attributes
    ----------
    encoder, scheme : str
    space : Space
    sampler : {"grid", "random", "tpe"}
    n_trials : int
        Finished trials after which the study is over; a grid has as many as it has points.
    seed : int
        Of the points and of fine-tuning.
    rows : int or None
        Train on this many random rows: a proxy for all of them.
    prune : bool
        End a trial after an epoch whose score is below the median of the earlier trials'.
    """

    encoder: str
    scheme: str
    space: Space
    sampler: Sampler
    n_trials: int
    seed: int = 0
    rows: int | None = None
    prune: bool = True


class _SurplusError(Exception):
    """A trial that another worker has, or one more than asked for."""


def open_study(storage: str, name: str, search: Search, *, heartbeat_s: int = 20) -> optuna.Study:
    """Open a study, or create it.

    Parameters
    ----------
    storage : str
        A database URL of SQLAlchemy's, such as ``sqlite:////srv/studies.db``.
    name : str
    search : Search
    heartbeat_s : int
        Seconds between a worker's signs of life; one that is silent for twice as long has lost
        its trial.

    Returns
    -------
    optuna.Study

    Raises
    ------
    TuneError
        If Optuna is not installed or the storage is out of reach.
    """
    try:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError:
        raise TuneError("the search needs Optuna: pip install 'goemo-eval[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1)
    try:
        with _experiments():
            kept = open_storage(storage, heartbeat_s=heartbeat_s, when_lost=queue_again)
        return optuna.create_study(
            storage=kept,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=pruner if search.prune else optuna.pruners.NopPruner(),
        )
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise out_of_reach(storage, error) from None


def run_study(study: optuna.Study, search: Search, run: Run) -> None:
    """Work on a study until it is over; other workers may do the same at the same time.

    Raises
    ------
    TuneError
        If the study was begun with another search.
    """
    _same_search(study, search, run)
    worker = _Worker(study, search, run)
    n_trials = len(search.space.grid()) if search.sampler == "grid" else search.n_trials
    _queue(study, search, n_trials)
    seen: set[int] = set()
    with progress(desc="trials", total=n_trials, unit="trial", leave=True) as bar:
        while True:
            with _experiments():
                _fail_stale(study, seen)
            trials = study.get_trials(deepcopy=False)
            finished = sum(is_finished(trial) for trial in trials)
            bar.update(min(finished, n_trials) - bar.n)
            if finished >= n_trials:
                return
            waiting = any(trial.state.name == "WAITING" for trial in trials)
            if not waiting and len(alive(trials)) >= n_trials:
                time.sleep(0.5)  # others are at the rest; should one die, its point comes back
                continue
            worker.run_one(n_trials)


class _Worker:
    """Runs trials one at a time."""

    def __init__(self, study: optuna.Study, search: Search, run: Run) -> None:
        self._study, self._search, self._run = study, search, run
        self._folder = run.store.directory("tune") / study.study_name
        train = run.plan.dataset.splits["train"]
        self._train = train if search.rows is None else subset(train, search.rows, seed=search.seed)
        self._teacher = teacher_of(search, run)

    def run_one(self, n_trials: int) -> None:
        import optuna

        if self._search.sampler == "tpe":
            so_far = len(self._study.get_trials(deepcopy=False))
            [seed] = np.random.SeedSequence([self._search.seed, so_far]).generate_state(1)
            with _experiments():
                self._study.sampler = optuna.samplers.TPESampler(
                    seed=int(seed), n_startup_trials=_TPE_STARTUP, constant_liar=True
                )
        lost = False

        def score(trial: optuna.Trial) -> float:
            nonlocal lost
            try:
                return self._score(trial, n_trials)
            except optuna.exceptions.UpdateFinishedTrialError:
                lost = True
                raise

        with _experiments():
            try:
                self._study.optimize(score, n_trials=1, catch=(_SurplusError,))
            except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
                if not lost:  # Optuna cannot tell the end of a trial that has ended
                    raise
                sys.stderr.write(
                    "a trial was taken for lost, and queued again: this worker was silent for longer than "
                    "twice its --heartbeat-s; it goes on with the next\n"
                )

    def _score(self, trial: optuna.Trial, n_trials: int) -> float:
        """Fine-tune at the trial's point and return its validation Macro-F1."""
        import optuna

        if is_surplus(self._study, trial.number, n_trials):
            raise _SurplusError
        trial.set_user_attr("worker", f"{socket.gethostname()} {os.getpid()}")
        search = self._search
        recipe = search.space.recipe(_suggest(trial, search.space), name=f"trial{trial.number}")
        scores: dict[int, float] = {}

        def after_epoch(epoch: int, macro_f1: float) -> None:
            scores[epoch] = macro_f1
            trial.report(macro_f1, epoch)
            if search.prune and trial.should_prune():
                raise optuna.TrialPruned

        try:
            self._fine_tune(trial, recipe, after_epoch)
        except DivergedError as error:
            trial.set_user_attr(_WHY, str(error))
            raise optuna.TrialPruned from None
        except KeyboardInterrupt:
            frozen = self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            queue_again(self._study, frozen)
            raise
        trial.set_user_attr("scored", True)  # refused where another worker has the trial by now
        return max(scores.values()) if recipe.early_stopping_patience else scores[max(scores)]

    def _fine_tune(self, trial: optuna.Trial, recipe: Recipe, after_epoch: Any) -> None:
        import optuna

        plan = self._run.plan
        directory = plan.weights_of(self._search.encoder)
        encoder = plan.encoder(self._search.encoder)
        origin = trial.user_attrs.get(RETRY_OF, trial.number)
        facts = recipe.training_facts() | {"name": ""}
        teacher = self._teacher if recipe.teacher_weight else None
        facts |= {} if teacher is None else {"teacher": teacher.sha256}
        # A retried trial goes on from the state that the lost one left here.
        out = self._folder / f"{origin}-{digest_of(facts, self._train.sha256)}"
        partial = out.with_name(f"{out.name}.partial")
        shutil.rmtree(out, ignore_errors=True)
        try:
            fine_tune(
                encoder,
                plan.scheme(self._search.scheme),
                self._train,
                recipe=recipe,
                weights=find_weights(encoder, directory),
                out=out,
                partial=partial,
                seed=self._search.seed,
                threads=plan.threads,
                validation=Validation(
                    plan.dataset.splits["validation"], validation_score, after_epoch
                ),
                teacher=teacher,
            )
        except (optuna.TrialPruned, DivergedError):
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(out)  # the score is what is wanted; the best recipe is trained for itself


def teacher_of(search: Search, run: Run) -> Teacher | None:
    """Return what the plan's teachers say of the rows that are trained on; None without teachers."""
    train = run.plan.dataset.splits["train"]
    teacher = learned(run.store, lessons_of(run.plan, search.scheme))
    if teacher is None or search.rows is None:
        return teacher
    kept = run.plan.scheme(search.scheme).keeps(train.labels)
    chosen = random_rows(train, search.rows, seed=search.seed)
    position = np.cumsum(kept) - 1  # a teacher speaks of the rows that the scheme keeps
    return Teacher(teacher.logits[position[chosen[kept[chosen]]]], teacher.notes)


def _suggest(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: trial.suggest_categorical(name, choices) for name, choices in space.choices.items()
    }
    for name, where in space.ranges.items():
        if where.whole:
            values[name] = trial.suggest_int(name, int(where.low), int(where.high), log=where.log)
        else:
            values[name] = trial.suggest_float(name, where.low, where.high, log=where.log)
    return values


def _queue(study: optuna.Study, search: Search, n_trials: int) -> None:
    """Queue the points that are known beforehand and are not in the study yet."""
    if search.sampler == "grid":
        points = search.space.grid()
    else:
        known = n_trials if search.sampler == "random" else min(n_trials, _TPE_STARTUP)
        points = list(islice(search.space.random(search.seed), known))
    queue_points(study, points)


def _same_search(study: optuna.Study, search: Search, run: Run) -> None:
    """Keep what the study searches, or compare it with what was kept."""
    scheme = run.plan.scheme(search.scheme)
    facts: Mapping[str, Any] = {
        "encoder": search.encoder,
        "scheme": search.scheme,
        "dominance": scheme.dominance,
        "space": search.space.describe(),
        "recipe": search.space.base.training_facts(),
        "sampler": search.sampler,
        "seed": search.seed,
        "rows": search.rows,
        "teachers": [lesson.key.digest for lesson in lessons_of(run.plan, search.scheme)],
        "train": run.plan.dataset.splits["train"].sha256,
        "validation": run.plan.dataset.splits["validation"].sha256,
    }
    for name, value in facts.items():
        kept = study.user_attrs.get(name, value)
        if json.dumps(kept, sort_keys=True) != json.dumps(value, sort_keys=True):
            raise TuneError(
                f"study {study.study_name} was begun with {name} {json.dumps(kept)}, not "
                f"{json.dumps(value)}: pass another --study"
            )
    for name, value in facts.items():
        if name not in study.user_attrs:
            study.set_user_attr(name, value)


def _fail_stale(study: optuna.Study, seen: set[int]) -> None:
    """Fail the trials whose workers are silent, and queue their points again.

    Optuna counts from the last sign of life. A worker that was killed after it took a trial and before its first
    sign has left none, and the trial would run forever: the first time that this worker sees
    a trial run, it gives a sign in its place.
    """
    import optuna

    for trial in study.get_trials(deepcopy=False):
        if trial.state.name == "RUNNING" and trial._trial_id not in seen:
            seen.add(trial._trial_id)
            study._storage.record_heartbeat(trial._trial_id)
    optuna.storages.fail_stale_trials(study)


@contextmanager
def _experiments() -> Iterator[None]:
    """Silence Optuna's notices that heartbeats and the constant liar may yet change."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
