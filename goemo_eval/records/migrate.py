"""Records of schema 2, as records of schema 3. What schema 2 did not keep is None, not guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from goemo_eval.measure.scenarios import percentiles

OLDEST = 2
"""The oldest schema that is read."""

_KNOWN_TEST_SPLITS = {
    "0587b2dd8b27b97352adbfc3fb083d46005c8946657fdc2b1ca8b1cc7f1f8be4": "goemotions",
    "f12ae4273bf7f355af80a804e6717591774f6e3ef1befcdb44a81e2a1b38f105": "sample",
}


def migrate(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record of schema 2 as one of schema 3.

    Parameters
    ----------
    entry : mapping
        The record as ``json.loads`` returns it. It is not changed. What is malformed in it is left as it
        is, to be refused with the rest.

    Returns
    -------
    dict

    Notes
    -----
    - The data set's name is told by the test split's sha256, or else it is the source.
    - `peak_rss_bytes` goes: it was the peak of the run up to then, not of the cell.
    - Times get p95, and keep p99 only if they are 100 or more. Which texts were timed is not known.
      Every cell was timed on the first batches of the split, one after the other, as often as the
      time allowed, so that cells with as many times were timed on the same batches.
    - The load average beside a cell becomes that of its times: above its threads by more than one,
      others had work to do, and the times are unstable.
    """
    new = {key: value for key, value in entry.items() if key != "peak_rss_bytes"}
    load = _load(entry.get("environment"))
    if isinstance(data := entry.get("data"), dict):
        new["data"] = {"name": _name(data), **data}
    if isinstance(latency := entry.get("latency"), dict):
        rows = _rows(entry.get("data"))
        new["latency"] = {name: _latency(old, rows, load) for name, old in latency.items()}
    if isinstance(speedups := entry.get("speedups"), list):
        new["speedups"] = [
            {**old, "load": load} if isinstance(old, dict) else old for old in speedups
        ]
    return new


def _load(environment: Any) -> dict[str, Any]:
    values: dict[str, Any] = environment if isinstance(environment, dict) else {}
    load: dict[str, Any] = {name: values.get(name) for name in ("load_start", "load_end")}
    threads = values.get("threads")
    highest = max((value for value in load.values() if _is_number(value)), default=0)
    if _is_number(threads) and highest > threads + 1:
        load["reason"] = f"the load average was {highest:g} beside {threads} threads"
    return load


def _name(data: Mapping[str, Any]) -> Any:
    splits = data.get("splits")
    test = splits.get("test") if isinstance(splits, dict) else None
    sha256 = test.get("sha256") if isinstance(test, dict) else None
    return _KNOWN_TEST_SPLITS.get(sha256) or data.get("source")  # type: ignore[arg-type]


def _rows(data: Any) -> float:
    """Return the rows of the test split; 0 if they are not told."""
    for key in ("splits", "test", "rows"):
        data = data.get(key) if isinstance(data, dict) else None
    return data if _is_number(data) else 0


def _latency(old: Any, rows: float, load: dict[str, Any]) -> Any:
    times = old.get("times_s") if isinstance(old, dict) else None
    size = old.get("batch_size") if isinstance(old, dict) else None
    if not (isinstance(times, list) and times and all(map(_is_number, times)) and _is_number(size)):
        return old
    new = {**old, "texts_sha256": None, "load": load}
    found = percentiles(times)
    new |= {"p95_s": found["p95_s"], "p99_s": old.get("p99_s") if found["p99_s"] else None}
    # A split with fewer batches than times was gone through more than once.
    new["batches"] = min(len(times), max(1, int(rows / max(1, size))))
    return new


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
