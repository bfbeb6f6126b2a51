"""The published study's values, as data to stand beside ours."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

from goemo_eval.frozen import Frozen
from goemo_eval.records.schema import Record


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
    """All of it."""

    source: str
    rows: dict[str, int]
    cells: tuple[PublishedCell, ...]

    def cell(self, record: Record) -> PublishedCell | None:
        """Return the published values for a record's encoder and scheme, if there are any."""
        wanted = (record.cell.encoder, record.cell.scheme)
        return next((c for c in self.cells if (c.encoder, c.scheme) == wanted), None)

    def comparable(self, record: Record) -> bool:
        """Return whether a record was scored on as many rows as the study's."""
        return {name: split.rows for name, split in record.data.splits.items()} == self.rows


@cache
def load_study() -> Study:
    """Read the published values."""
    file = resources.files("goemo_eval.report.study") / "study.toml"
    return Study.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
