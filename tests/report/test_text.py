"""Nothing that a record says becomes mark-up, or moves a terminal's cursor."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from goemo_eval.records.schema import Cell
from goemo_eval.report.document import Column, Table, table
from goemo_eval.report.html import to_html
from goemo_eval.report.markdown import to_markdown
from goemo_eval.report.text import DASH, escape, listed, model_name, number, plain

RENDERER = MarkdownIt("commonmark").enable("table")


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))))
def test_an_escaped_text_renders_as_itself(text: str) -> None:
    (paragraph, inline, _) = RENDERER.parse(f"x {escape(text)} x")
    assert paragraph.type == "paragraph_open"
    shown = "".join(child.content for child in inline.children or [])
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}
    assert " ".join(shown.split()) == f"x {' '.join(text.split())} x".replace("  ", " ")


@given(st.text())
def test_plain_text_can_be_printed_and_written(text: str) -> None:
    shown = plain(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    assert not set(shown) & set("\u202a\u202b\u202d\u202e\u2066\u2067")
    assert shown.encode().decode() == shown


def test_escape_codes_are_seen_and_do_nothing() -> None:
    assert plain("a\x1b[31mred\x07\nb") == r"a\x1b[31mred\x07 b"
    assert "\x1b" not in escape("\x1b]8;;http://x\x1b\\")


def test_a_table_keeps_its_cells_apart() -> None:
    column = Column("ab", "", [escape("x|<b>y</b>")], words=True)
    (block,) = table(column, Column("n", "", ["1"]))
    html = RENDERER.render(to_markdown([block]))
    assert html.count("<td") == 2
    assert "x|&lt;b&gt;y&lt;/b&gt;" in html
    assert "x|&lt;b&gt;y&lt;/b&gt;" in to_html([block], "t", {})


def test_a_table_explains_its_columns_and_leaves_out_empty_ones() -> None:
    (block,) = table(
        Column("cell", "", ["a", "b"], words=True),
        Column("p50", "median", ["1", DASH]),
        Column("p99", "of 100 times", [DASH, DASH]),
    )
    assert isinstance(block, Table)
    assert [column.head for column in block.columns] == ["cell", "p50"]
    assert to_markdown([block]) == (
        f"| cell | p50 |\n| :-- | --: |\n| a | 1 |\n| b | {DASH} |\n\n*p50*: median.\n"
    )
    assert table(Column("cell", "", [])) == []


def test_numbers_and_names() -> None:
    assert number(None) == DASH
    assert number(0.12349) == "0.123"
    assert number(0.1, signed=True) == "+0.100"
    assert number(-0.1, 2, signed=True) == "-0.10"
    assert listed(["a", "b", "c"], most=3) == "a, b, c"
    assert listed(["a", "b", "c", "d"], most=3) == "a, b and 2 more"
    cell = Cell(encoder="minilm", scheme="raw", engine="openvino", precision="int8", seed=2)
    assert model_name(cell) == "minilm openvino seed 2"
    floor = Cell(encoder="tfidf", scheme="raw", engine="linear", precision="fp32")
    assert model_name(floor) == "tfidf"
