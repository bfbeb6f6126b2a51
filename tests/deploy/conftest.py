"""Bundles of a small run: every engine, both precisions, a one-layer BERT and the floor."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goemo_eval.data.dataset import Split
from goemo_eval.data.sources import load_dataset
from goemo_eval.deploy.exporting import export_artifact
from goemo_eval.models.recipes import load_recipe
from goemo_eval.pipeline.assemble import measure
from goemo_eval.pipeline.fitting import Run
from goemo_eval.pipeline.plan import Plan
from goemo_eval.pipeline.steps import artifact
from goemo_eval.pipeline.store import Store
from goemo_eval.records.schema import Cell, Record

BundleOf = Callable[[str], tuple[Path, Record]]


def cell_of(cell_id: str) -> Cell:
    encoder, scheme, engine, precision = cell_id.split("-")
    return Cell.model_validate(
        {"encoder": encoder, "scheme": scheme, "engine": engine, "precision": precision}
    )


@pytest.fixture(scope="session")
def small_run(
    shared_store: Path,
    tiny_weights_dir: Path,
    short_sample: dict[str, Split],
) -> Iterator[Run]:
    changed = {"name": "small", "epochs": 1, "learning_rate": 1e-2, "max_length": 48}
    recipe = load_recipe("sample").model_copy(update=changed | {"pooling": "encoder"})
    plan = Plan(
        dataset=dataclasses.replace(load_dataset("sample"), splits=short_sample),
        recipe=recipe,
        threads=2,
        weights={"tiny": tiny_weights_dir},
        int8_repair="never",
    )
    store = Store(shared_store)
    yield Run(plan, store)
    store.close()


@pytest.fixture(scope="session")
def bundle_of(small_run: Run, tmp_path_factory: pytest.TempPathFactory) -> BundleOf:
    """Export a cell by its id: the bundle and the record that it was made of."""
    made: dict[str, tuple[Path, Record]] = {}

    def call(cell_id: str) -> tuple[Path, Record]:
        if cell_id not in made:
            cell = cell_of(cell_id)
            record = measure(small_run, cell)
            out = tmp_path_factory.mktemp("bundles") / cell_id
            made[cell_id] = (
                export_artifact(record, artifact(small_run, cell).content, out),
                record,
            )
        return made[cell_id]

    return call


@pytest.fixture
def copy_of(bundle_of: BundleOf, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a bundle, to be damaged."""
    return lambda cell_id: Path(shutil.copytree(bundle_of(cell_id)[0], tmp_path / "bundle"))
