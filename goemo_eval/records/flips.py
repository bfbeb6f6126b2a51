"""Which decisions changed from FP32 to INT8 or BF16, label by label.

Macro-F1 is a mean: a rare emotion can collapse inside it, and changes that cancel out are not
seen in it at all.
"""

from __future__ import annotations

from goemo_eval.errors import RecordError
from goemo_eval.frozen import Frozen
from goemo_eval.measure.f1 import f1_per_label
from goemo_eval.records.comparable import comparable
from goemo_eval.records.schema import Record
from goemo_eval.records.verified import verified_decisions


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


def flips(fp32: Record, reduced: Record) -> tuple[LabelFlips, ...]:
    """Compare the test decisions of two cells.

    Parameters
    ----------
    fp32, reduced : Record
        Scored on the same test split under the same scheme.

    Returns
    -------
    tuple of LabelFlips
        One per label, in column order.

    Raises
    ------
    RecordError
        If a record has no decisions, or the two are not `comparable`.
    """
    for record in (fp32, reduced):
        if record.decisions is None or record.scores is None:
            raise RecordError(f"{record.cell.id}: has no decisions to compare: it was not scored")
    if differing := comparable(fp32, reduced, "scores"):
        raise RecordError(
            f"{fp32.cell.id} and {reduced.cell.id} cannot be compared: {'; '.join(differing)}: measure "
            "both in one run"
        )
    truth, before = verified_decisions(fp32)
    _, after = verified_decisions(reduced)
    scores = zip(f1_per_label(truth, before), f1_per_label(truth, after), strict=True)
    return tuple(
        LabelFlips(
            label=label,
            support=int(truth[:, k].sum()),
            gained=int((after[:, k] & ~before[:, k]).sum()),
            lost=int((before[:, k] & ~after[:, k]).sum()),
            f1_before=ours,
            f1_after=theirs,
        )
        for k, (label, (ours, theirs)) in enumerate(zip(fp32.labels, scores, strict=True))
    )
