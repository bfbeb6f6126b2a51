"""Which decisions changed from FP32 to INT8, label by label.

Macro-F1 is a mean: a rare emotion can collapse inside it, and changes that cancel out are not
seen in it at all.
"""

from __future__ import annotations

import numpy as np

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.records.decisions import unpack_decisions
from goemo_eval.records.schema import Record


class LabelFlips(Frozen):
    """The test decisions on one label that differ between two cells."""

    label: str
    support: int
    """Texts that truly have the label."""
    gained: int
    """Texts that only the second cell gives the label."""
    lost: int
    """Texts that only the first cell gives it."""
    f1_before: float
    f1_after: float

    @property
    def flips(self) -> int:
        """Decisions that changed."""
        return self.gained + self.lost

    @property
    def delta(self) -> float:
        """Change of F1, the second cell's minus the first's."""
        return self.f1_after - self.f1_before


def flips(fp32: Record, int8: Record) -> tuple[LabelFlips, ...]:
    """Compare the test decisions of two cells.

    Parameters
    ----------
    fp32, int8 : Record
        Scored on the same test split under the same scheme.

    Returns
    -------
    tuple of LabelFlips
        One per label, in column order.

    Raises
    ------
    RecordError
        If a record has no decisions, or labels or truth differ.
    """
    for record in (fp32, int8):
        if record.decisions is None or record.scores is None:
            raise RecordError(f"{record.cell.id}: has no decisions to compare: it was not scored")
    assert fp32.decisions is not None
    assert int8.decisions is not None
    assert fp32.scores is not None
    assert int8.scores is not None
    truth, before = unpack_decisions(fp32.decisions)
    other_truth, after = unpack_decisions(int8.decisions)
    if fp32.labels != int8.labels or not np.array_equal(truth, other_truth):
        raise RecordError(
            f"{fp32.cell.id} and {int8.cell.id} were not scored on the same test split and labels: "
            "measure both in one run"
        )
    both = zip(fp32.scores.test.per_label, int8.scores.test.per_label, strict=True)
    return tuple(
        LabelFlips(
            label=label,
            support=int(truth[:, k].sum()),
            gained=int((after[:, k] & ~before[:, k]).sum()),
            lost=int((before[:, k] & ~after[:, k]).sum()),
            f1_before=ours.f1,
            f1_after=theirs.f1,
        )
        for k, (label, (ours, theirs)) in enumerate(zip(fp32.labels, both, strict=True))
    )
