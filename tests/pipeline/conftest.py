"""A small run: a one-layer BERT with a real tokenizer, fine-tuned on the head of the sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goemo_eval.data.dataset import Dataset, Split
from goemo_eval.data.sources import load_dataset
from goemo_eval.models.recipes import load_recipe
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.plan import Plan, Rounds, Timing
from goemo_eval.pipeline.store import Store

BRIEF = Timing(
    {"real": Rounds(2, 2), "single": Rounds(4, 1)},
    passes=2,
    offline_passes=1,
    unscored={"real": Rounds(1, 3, warm_ups=0)},
)


@pytest.fixture(scope="session")
def small(short_sample: dict[str, Split]) -> Dataset:
    """The sample's first rows as a data set."""
    sample = load_dataset("sample")
    return dataclasses.replace(sample, splits=short_sample)


@pytest.fixture(scope="session")
def plan(small: Dataset, tiny_weights_dir: Path) -> Plan:
    changed = {"name": "small", "epochs": 1, "learning_rate": 1e-2, "max_length": 48}
    recipe = load_recipe("sample").model_copy(update=changed | {"pooling": "encoder"})
    return Plan(
        dataset=small,
        recipe=recipe,
        threads=2,
        weights={"tiny": tiny_weights_dir},
        timing=BRIEF,
        int8_repair="never",
    )


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the tests of this directory share."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def run_of(plan: Plan, kept: Path) -> Iterator[Callable[..., Run]]:
    """Open a run of the plan, with changes to it, on the shared store or another."""
    opened: list[Store] = []

    def make(*, store: Path | None = None, **changes: object) -> Run:
        opened.append(Store(store or kept))
        return Run(dataclasses.replace(plan, **changes), opened[-1])  # type: ignore[arg-type]

    yield make
    for store in opened:
        store.close()
