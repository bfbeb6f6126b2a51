from __future__ import annotations

import itertools

import numpy as np

from goemo_eval.judge.choice import Change
from goemo_eval.report.sections.advice import told


def test_rounded_values_in_sentences_stay_true() -> None:
    for what, tighter, at in itertools.product(
        ("max_mb", "min_macro_f1"), (True, False), np.linspace(0.1, 0.9, 37).tolist()
    ):
        text = told(Change(what=what, at=at, tighter=tighter, cell="x"))
        value = float(next(w.strip(":") for w in text.split() if w[0].isdigit()))
        upwards = tighter == (what == "min_macro_f1")
        assert value >= at - 1e-6 if upwards else value <= at + 1e-6
