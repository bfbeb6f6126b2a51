"""The report's sections in their order, for both of its forms."""

from __future__ import annotations

from goemo_eval.report.data_files import FILES
from goemo_eval.report.document import Block, Section
from goemo_eval.report.figures.plots import pictures_of
from goemo_eval.report.findings import Findings
from goemo_eval.report.sections.answers import answers
from goemo_eval.report.sections.errors import Texts, errors_section
from goemo_eval.report.sections.int8 import int8_section
from goemo_eval.report.sections.method import method_section
from goemo_eval.report.sections.scores import scores_section
from goemo_eval.report.sections.speed import speed_section
from goemo_eval.report.study.plots import STUDY_PLOTS
from goemo_eval.report.study.section import study_section
from goemo_eval.report.text import escape, lower_names
from goemo_eval.report.times import notices


def page(
    found: Findings, *, title: str, command: str | None = None, texts: Texts | None = None
) -> list[Block]:
    """Return the whole report.

    Parameters
    ----------
    found : Findings
    title : str
    command : str, optional
    texts : mapping of str to sequence of str, optional
        By scheme, the texts that were scored.
    """
    view, pictures = found.view, pictures_of(found.view)
    sections = [
        Section("Which cell to deploy", "Which", answers(found)),
        Section("How good", "How good", scores_section(found, pictures.get("scores"))),
        Section("How fast, how large", "How fast", speed_section(view, pictures.get("cost"))),
    ]
    if view.shown.pairs:
        body = int8_section(view, found.intervals, pictures.get("int8"))
        names = lower_names(view.shown.pairs)
        title_ = f"What {names} cost{'' if ' ' in names else 's'}"
        sections.append(Section(title_, names, body))
    probabilities = [pictures[name] for name in ("reliability", "thresholds") if name in pictures]
    body = errors_section(view, found.noise, probabilities, texts)
    sections.append(Section("Where it errs", "Errors", body))
    if found.study:
        body = study_section(view, found.study, pictures_of(view, STUDY_PLOTS))
        sections.append(Section("What the study claimed", "The study", body, printed=False))
    body = method_section(view, command=command)
    sections.append(Section("How it was measured", "Method", body))
    sections.append(Section("Every number, as data", "Data", [_files()], printed=False))
    return [f"# {escape(title)}", *notices(view), *sections]


def _files() -> str:
    """Return links to what was too long for a page."""
    return "\n".join(f"- [{name}]({name}): {what}" for name, what in FILES.items())
