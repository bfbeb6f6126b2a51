"""Nothing that a record says becomes mark-up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from goemo_eval.report.document import to_markdown
from goemo_eval.report.text import DASH, escape, number, table

RENDERER = MarkdownIt("commonmark").enable("table")


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"))))
def test_an_escaped_text_renders_as_itself(text: str) -> None:
    (paragraph, inline, _) = RENDERER.parse(f"x {escape(text)} x")
    assert paragraph.type == "paragraph_open"
    shown = "".join(child.content for child in inline.children or [])
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}
    assert shown == f"x {' '.join(text.split())} x"


def test_a_table_keeps_its_cells_apart() -> None:
    html = RENDERER.render(to_markdown([table(["ab", "n"], [[escape("x|<b>y</b>"), "1"]])]))
    assert html.count("<td") == 2
    assert "x|&lt;b&gt;y&lt;/b&gt;" in html


def test_numbers() -> None:
    assert number(None) == DASH
    assert number(0.12349) == "0.123"
    assert number(0.1, signed=True) == "+0.100"
    assert number(-0.1, 2, signed=True) == "-0.10"
