"""The published values, as they are in the study's tables."""

from __future__ import annotations

from goemo_eval.report.study.published import load_study


def test_the_four_encoders_under_both_schemes() -> None:
    cells = {(cell.encoder, cell.scheme) for cell in load_study().cells}
    encoders = ("albert", "distilbert", "minilm", "mobilebert")
    assert cells == {(e, s) for e in encoders for s in ("raw", "simplified")}


def test_the_tables_agree_with_themselves_as_far_as_the_study_does() -> None:
    """Its deltas and speedups are the quotients of its own columns, to their last digit."""
    for cell in load_study().cells:
        assert abs((cell.int8 - cell.fp32) - cell.delta) < 0.0016, cell
        assert abs(cell.fp32_s / cell.int8_s - cell.speedup) < 0.0011, cell
        # Table 3 repeats Table 1, but for ALBERT under simplified (0.459 and 0.463).
        assert abs(cell.fp32 - cell.test) <= 0.004 + 1e-9, cell
