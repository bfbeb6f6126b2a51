"""The report's files: one page in two forms, its figures, and the records that it is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from goemo_eval.errors import RecordError
from goemo_eval.pipeline.store import write_atomic
from goemo_eval.records.files import Provenance, dump_records
from goemo_eval.records.schema import Record
from goemo_eval.report.document import to_markdown
from goemo_eval.report.figures import draw
from goemo_eval.report.html import to_html
from goemo_eval.report.intervals import resample
from goemo_eval.report.page import page
from goemo_eval.report.study.published import load_study

TITLE = "goemo_eval report"


def write_report(
    records: Sequence[Record],
    out: str | Path,
    *,
    title: str | None = None,
    command: str | None = None,
    texts: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write ``report.md``, ``report.html``, ``figures/`` and ``records.json``.

    Parameters
    ----------
    records : sequence of Record
        At least one, in any order.
    out : str or Path
        The directory; it is made if need be.
    title : str, optional
    command : str, optional
        The command that made the records.
    texts : mapping of str to sequence of str, optional
        By scheme, the texts that were scored, for examples of what went wrong.

    Returns
    -------
    Path
        That of ``report.md``. The same arguments give the same bytes.

    Raises
    ------
    RecordError
        If there are no records, their decisions are damaged, the texts are not theirs, or the
        directory cannot be written to.
    """
    if not records:
        raise RecordError("no records to report on: run pytest bench first")
    records = sorted(records, key=_order)
    out, study = Path(out), load_study()
    intervals = resample(records)
    blocks = page(records, study, intervals, title=title or TITLE, command=command, texts=texts)
    figures = draw(records, study, intervals)
    pictures = {Path(name).stem: svg for name, svg in figures.items() if name.endswith(".svg")}
    said = Provenance(title=title, command=command) if title or command else None
    files = {
        **{f"figures/{name}": content for name, content in figures.items()},
        "records.json": dump_records(records, said).encode(),
        "report.html": to_html(blocks, title or TITLE, pictures).encode(),
        "report.md": to_markdown(blocks).encode(),
    }
    try:
        for name, content in files.items():
            write_atomic(out / name, content)
    except OSError as error:
        raise RecordError(f"{out}: cannot write the report there ({error.strerror})") from None
    return out / "report.md"


def _order(record: Record) -> tuple[str, str, int, bool, str, str]:
    """Sort by the words of the cell's id, but torch, the reference, before the other engines."""
    cell = record.cell
    engine = (cell.engine != "torch", cell.engine)
    return cell.encoder, cell.scheme, cell.seed, *engine, cell.precision
