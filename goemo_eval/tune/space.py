"""The space of recipes that a search looks through: a TOML file of recipe fields and their values.

learning_rate = { low = 5e-5, high = 5e-4, log = true }   # a range, for random and tpe
epochs = [3, 6]                                           # choices, for every sampler
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from goemo_eval.errors import TuneError, unknown_name
from goemo_eval.files import read_text
from goemo_eval.models.recipes import Recipe
from goemo_eval.models.said import printable, said

FIELDS = tuple(n for n in Recipe.model_fields if n not in ("name", "encoder", "scheme"))
_RANGE_KEYS = {"low", "high", "log"}
_LARGEST = 1e300  # of a number, also a whole one
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True)
class Range:
    """A range of numbers, ends included; whole numbers if both ends are, or else floats."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a number, evenly or evenly in its logarithm."""
        if self.whole and not self.log:
            return int(rng.integers(int(self.low), int(self.high), endpoint=True))
        if self.log:
            value = float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
        else:
            value = float(rng.uniform(self.low, self.high))
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else value


Values = Mapping[str, Any]
"""Recipe fields and their values: one point of a space."""


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes
    ----------
    base : Recipe
        Gives the fields that are not searched.
    choices : mapping of str to tuple
    ranges : mapping of str to Range
    """

    base: Recipe
    choices: Mapping[str, tuple[Any, ...]]
    ranges: Mapping[str, Range]

    @property
    def fields(self) -> tuple[str, ...]:
        """The searched fields."""
        return (*self.choices, *self.ranges)

    def recipe(self, values: Values, *, name: str) -> Recipe:
        """Return the recipe at a point."""
        return Recipe.model_validate(self.base.model_dump() | dict(values) | {"name": name})

    def grid(self) -> list[dict[str, Any]]:
        """Return every combination of the choices.

        Raises
        ------
        TuneError
            If a field has a range, of which a grid cannot take every value.
        """
        if self.ranges:
            raise TuneError(
                f"{next(iter(self.ranges))}: a grid needs a list of values, not a range: list them, or "
                "choose --sampler random or tpe"
            )
        return [
            dict(zip(self.choices, point, strict=True)) for point in product(*self.choices.values())
        ]

    def random(self, seed: int) -> Iterator[dict[str, Any]]:
        """Yield random points without end; the i-th is always the same for a seed."""
        i = 0
        while True:
            rng = np.random.default_rng([seed, i])
            yield {
                **{
                    name: values[rng.integers(len(values))] for name, values in self.choices.items()
                },
                **{name: where.draw(rng) for name, where in self.ranges.items()},
            }
            i += 1

    def describe(self) -> dict[str, Any]:
        """Return the space as JSON values."""
        ranges = {name: vars(where) for name, where in self.ranges.items()}
        return {name: list(values) for name, values in self.choices.items()} | ranges


def read_space(path: Path, base: Recipe) -> Space:
    """Read a search space.

    Parameters
    ----------
    path : Path
        A TOML file: a recipe field per line, with a list of values, or a table with ``low``,
        ``high`` and, if the logarithm is to be even, ``log = true``.
    base : Recipe
        Gives the fields that are not searched.

    Returns
    -------
    Space

    Raises
    ------
    TuneError
        If the file cannot be read, names an unknown field, has an empty or repeated list, a range
        that is none, or a value that no recipe may have.
    """
    content = _content(path)
    choices, ranges = {}, {}
    for name, value in content.items():
        if name not in FIELDS:
            raise TuneError(f"{path}: {unknown_name('recipe field', printable(name), FIELDS)}")
        if isinstance(value, list):
            choices[name] = _choices(value, f"{path}: {name}")
        elif isinstance(value, dict):
            ranges[name] = _range(value, f"{path}: {name}")
        else:
            raise TuneError(
                f"{path}: {name}: expected a list of values or {{ low = ..., high = ... }}: "
                f"got {printable(repr(value))}"
            )
    for name in content:
        for value in choices.get(name) or (ranges[name].low, ranges[name].high):
            try:
                Space(base, {}, {}).recipe({name: value}, name=base.name)
            except ValidationError as error:
                reason = printable(error.errors(include_input=False)[0]["msg"])
                raise TuneError(f"{path}: {name}: {printable(repr(value))}: {reason}") from None
    return Space(base, choices, ranges)


def _content(path: Path) -> dict[str, Any]:
    text = read_text(path, error=TuneError, most_bytes=_LARGEST_FILE)
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError
        raise TuneError(f"{path}: not a search space in TOML ({said(error)})") from None
    if not content:
        raise TuneError(f"{path}: searches nothing: expected lines such as epochs = [3, 6]")
    return content


def _choices(values: list[Any], where: str) -> tuple[Any, ...]:
    if not values:
        raise TuneError(f"{where}: an empty list: expected at least one value")
    if any(values.count(value) > 1 for value in values if not isinstance(value, dict)):
        raise TuneError(
            f"{where}: a value stands twice in {printable(repr(values))}: every value once"
        )
    return tuple(values)


def _range(table: dict[str, Any], where: str) -> Range:
    unknown = sorted(table.keys() - _RANGE_KEYS)
    if unknown:
        name = printable(unknown[0])
        raise TuneError(f"{where}: {unknown_name('key of a range', name, _RANGE_KEYS)}")
    low, high, log = table.get("low"), table.get("high"), table.get("log", False)
    numbers = [v for v in (low, high) if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != 2 or not isinstance(log, bool):
        raise TuneError(
            f"{where}: expected numbers low and high, and log = true or false: got {printable(repr(table))}"
        )
    found = Range(numbers[0], numbers[1], log)
    if not -_LARGEST < found.low < found.high < _LARGEST:  # nan is on neither side
        ends = printable(f"{found.low} and {found.high}")
        raise TuneError(f"{where}: low must be below high, and both finite: got {ends}")
    if log and found.low <= 0:
        raise TuneError(f"{where}: a logarithmic range must begin above 0: got {found.low}")
    return found
