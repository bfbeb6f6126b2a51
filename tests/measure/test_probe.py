"""The probe's timing, of real engines at a width that takes no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from goemo_eval.cpu import cpu
from goemo_eval.engines.artifact import Variant
from goemo_eval.engines.base import Predictor
from goemo_eval.engines.registry import converter, load
from goemo_eval.measure.machine_load import Load
from goemo_eval.measure.probe import LEAST_ROUNDS, MOST_ROUNDS, Probe, Probed, time_engines
from goemo_eval.models.encoders import get_encoder
from goemo_eval.models.weights import Weights
from goemo_eval.models.writing import write_untrained

QUIET = Load(load_start=0.1, load_end=0.1)


@pytest.fixture(scope="module")
def torch_pair(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Predictor]:
    """One layer of 16 numbers, in torch at two precisions."""
    from goemo_eval.data.schemes import get_scheme

    directory = tmp_path_factory.mktemp("stack")
    looks = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    encoder = get_encoder("minilm@1").model_copy(update={"config": looks})
    checkpoint = write_untrained(
        encoder,
        get_scheme("raw"),
        weights=Weights("random", "random"),
        out=directory / "checkpoint",
        max_length=32,
    )
    made = converter(checkpoint, "torch", threads=1)
    found: dict[tuple[str, str], Predictor] = {}
    for precision in ("fp32", "int8"):
        out = directory / precision
        out.mkdir()
        made.write(Variant.model_validate({"engine": "torch", "precision": precision}), out)
        found["torch", precision] = load(out, threads=1)
    return found


def test_every_cell_has_a_time_per_round_and_the_machine_is_told(torch_pair: Any) -> None:
    probe = time_engines(torch_pair, threads=1, refused={"openvino": "not installed"})
    assert [cell.name for cell in probe.cells] == ["torch FP32", "torch INT8"]
    for cell in probe.cells:
        assert len(cell.batch_s) == len(cell.single_s)
        assert LEAST_ROUNDS <= len(cell.batch_s) <= MOST_ROUNDS
    assert (probe.cpu_model, probe.isa_flags) == cpu()
    assert probe.refused == {"openvino": "not installed"}
    assert Probe.model_validate_json(probe.model_dump_json()) == probe


def test_without_time_there_still_are_three_rounds(torch_pair: Any) -> None:
    probe = time_engines(torch_pair, threads=1, most_s=0.0)
    assert {len(cell.batch_s) for cell in probe.cells} == {LEAST_ROUNDS}


def test_of_no_engine_nothing_is_timed() -> None:
    probe = time_engines({}, threads=1, refused={"torch": "broken"})
    assert probe.cells == ()
    assert probe.refused == {"torch": "broken"}


class Counted:
    """A predictor that notes what it was given."""

    def __init__(self, inner: Predictor, note: Callable[[int, bool], None]) -> None:
        self.info, self._inner, self._note = inner.info, inner, note

    def run(self, batches: Any) -> Any:
        self._note(sum(len(batch.rows) for batch in batches), batches[0].beside)
        return self._inner.run(batches)


def test_engines_take_turns_and_another_goes_first_each_round(torch_pair: Any) -> None:
    calls: list[tuple[str, int, bool]] = []

    def counted(precision: str) -> Any:
        def note(rows: int, beside: bool) -> None:
            calls.append((precision, rows, beside))

        return Counted(torch_pair["torch", precision], note)

    both: Any = {("torch", name): counted(name) for name in ("fp32", "int8")}
    time_engines(both, threads=1, most_s=0.0)
    batches = [(precision, rows) for precision, rows, beside in calls if beside]
    assert {rows for _, rows in batches} == {128}  # 4 batches of 32 texts
    order = [precision for precision, _ in batches[2:]]  # after each was run once unseen
    assert order == ["fp32", "int8", "int8", "fp32", "fp32", "int8"]
    assert {rows for _, rows, beside in calls if not beside} == {1}


def test_times_that_are_not_of_the_same_rounds_are_no_probe(tmp_path: Path) -> None:
    def of(*cells: Probed) -> Probe:
        return Probe(
            cpu_model="a", isa_flags=(), isa_limit=None, threads=1, cells=cells, load=QUIET
        )

    one = Probed(engine="torch", precision="fp32", batch_s=(1.0,), single_s=(1.0,))
    with pytest.raises(ValidationError, match="two cells of one engine"):
        of(one, one)
    with pytest.raises(ValidationError, match="a time per round"):
        of(one, Probed(engine="torch", precision="int8", batch_s=(1.0, 1.0), single_s=(1.0, 1.0)))
