"""The published study's values, as data to stand beside ours, and whether ours are of its data."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from goemo_eval.frozen import Frozen
from goemo_eval.records.schema import Cell, Record
from goemo_eval.records.view import View


class PublishedCell(Frozen):
    """What the study published of one encoder under one scheme (see ``study.toml``)."""

    encoder: str
    scheme: str
    validation: float
    test: float
    parameters_m: float
    latency_ms: float
    fp32: float
    int8: float
    fp32_s: float
    int8_s: float
    delta: float
    speedup: float


class Study(Frozen):
    """All of it, and the data that it used."""

    source: str
    data: str
    """Name of the data set."""
    rows: dict[str, int]
    sha256: dict[str, str]
    """Of the splits, as a data set hashes them."""
    cells: tuple[PublishedCell, ...]

    def cell(self, cell: Cell) -> PublishedCell | None:
        """Return the published values for a cell's encoder and scheme, if there are any."""
        wanted = (cell.encoder, cell.scheme)
        return next((c for c in self.cells if (c.encoder, c.scheme) == wanted), None)

    def has_data_of(self, record: Record) -> bool:
        """Return whether a record was trained and scored on the study's own splits."""
        splits = {name: split.sha256 for name, split in record.data.splits.items()}
        return record.data.name == self.data and splits == self.sha256


@cache
def load_study() -> Study:
    """Read the published values."""
    file = resources.files("goemo_eval.report.study") / "study.toml"
    return Study.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))


def study_of(view: View) -> Study | None:
    """Return the study if every record is of its data; None else: its values say nothing of other texts."""
    study = load_study()
    return study if all(study.has_data_of(record) for record in view) else None
