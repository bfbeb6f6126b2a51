"""The report's files: one page in two forms, its figures, its numbers as data, and its records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from goemo_eval.errors import RecordError
from goemo_eval.files import write_atomic
from goemo_eval.records.files import Provenance, dump_records
from goemo_eval.records.schema import Record
from goemo_eval.report.data_files import Form, data_files, data_tables
from goemo_eval.report.figures.plots import PLOTS, draw
from goemo_eval.report.findings import find
from goemo_eval.report.html import to_html
from goemo_eval.report.markdown import to_markdown
from goemo_eval.report.page import page
from goemo_eval.report.study.plots import STUDY_PLOTS

TITLE = "goemo_eval report"


def write_report(
    records: Sequence[Record],
    out: str | Path,
    *,
    title: str | None = None,
    command: str | None = None,
    texts: Mapping[str, Sequence[str]] | None = None,
) -> Path:
    """Write ``report.md``, ``report.html``, ``figures/``, the data files and ``records.json``.

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
        That of ``report.md``. The same arguments give the same bytes. A figure of an earlier report there that
        these records have nothing to show in is removed.

    Raises
    ------
    RecordError
        If there are no records, their decisions are damaged, the texts are not theirs, or the
        directory cannot be written to.
    """
    found = find(records)
    blocks = page(found, title=title or TITLE, command=command, texts=texts)
    figures = draw(found.view, found.intervals)
    if found.study:
        figures |= draw(found.view, found.intervals, STUDY_PLOTS)
    pictures = {Path(name).stem: svg for name, svg in figures.items() if name.endswith(".svg")}
    tables = data_tables(found)
    said = Provenance(title=title, command=command) if title or command else None
    files = {
        **{f"figures/{name}": content for name, content in figures.items()},
        **data_files(tables, "csv"),
        **data_files({name: tables[name] for name in ("cells", "labels")}, "parquet"),
        "records.json": dump_records(records, said).encode(),
        "report.html": to_html(blocks, title or TITLE, pictures).encode(),
        "report.md": to_markdown(blocks).encode(),
    }
    directory = _write(files, Path(out))
    known = (f"{name}.{form}" for name in (*PLOTS, *STUDY_PLOTS) for form in ("png", "svg"))
    for stale in (name for name in known if name not in figures):
        (directory / "figures" / stale).unlink(missing_ok=True)
    return directory / "report.md"


def write_data(records: Sequence[Record], out: str | Path, form: Form) -> list[Path]:
    """Write the data files alone, in one form.

    Parameters
    ----------
    records : sequence of Record
        At least one, in any order.
    out : str or Path
        The directory; it is made if need be.
    form : {"csv", "parquet", "json"}

    Returns
    -------
    list of Path

    Raises
    ------
    RecordError
        As `write_report` does.
    """
    files = data_files(data_tables(find(records)), form)
    directory = _write(files, Path(out))
    return [directory / name for name in files]


def _write(files: Mapping[str, bytes], out: Path) -> Path:
    try:
        for name, content in files.items():
            write_atomic(out / name, content)
    except OSError as error:
        raise RecordError(f"{out}: cannot write the report there ({error.strerror})") from None
    return out
