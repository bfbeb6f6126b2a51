"""Both forms of the page: the same parts, nothing foreign in them, and no record that breaks them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from pydantic import ValidationError

from goemo_eval.errors import RecordError
from goemo_eval.records.schema import Record
from goemo_eval.report.document import Answer, Answers, Fold, Picture, Section
from goemo_eval.report.findings import find
from goemo_eval.report.html import to_html
from goemo_eval.report.markdown import to_markdown
from goemo_eval.report.page import page
from goemo_eval.report.render import write_report

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))|`*_&amp;\n# big </summary></details>\x1b[31m"


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text outside of script and style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in ("script", "style"):
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_both_forms_have_the_same_parts(rendered: Path) -> None:
    page = Tags((rendered / "report.html").read_text())
    text = (rendered / "report.md").read_text()
    markdown = Tags(MarkdownIt("commonmark").enable("table").render(text))
    for tag in ("h1", "h2", "h3", "table", "td", "details", "summary"):
        assert len(page.named(tag)) == len(markdown.named(tag)) > 0, tag
    assert len(page.named("img")) == len(markdown.named("img")) == 5


def test_the_page_asks_for_nothing(rendered: Path) -> None:
    page = Tags((rendered / "report.html").read_text())
    loaded = [a[k] for t, a in page.tags for k in ("src", "data", "action") if a.get(k)]
    assert loaded
    assert all(address and address.startswith("data:image/svg+xml;base64,") for address in loaded)
    assert not page.named("link")
    sections = {a["id"] for a in page.named("section")}
    links = {a["href"] for a in page.named("a")}
    files = {link for link in links if link and not link.startswith("#")}
    assert links - files == {f"#{name}" for name in sections}
    assert all((rendered / name).is_file() for name in files)
    assert all(len(a["alt"] or "") > 60 for a in page.named("img"))


def hostile(record: Record) -> Record:
    """The record with every text that the schema leaves free replaced by an attack."""
    content = record.model_dump(mode="json")

    def replace(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            value = node[key]
            if isinstance(value, dict | list) and value:
                replace(value)
            elif isinstance(value, str) or value is None:
                node[key] = EVIL
                try:
                    Record.model_validate(content)
                except ValidationError:
                    node[key] = value

    kept = {name: content.pop(name) for name in ("decisions", "scores", "scores_refitted")}
    evil = [f"{i}{EVIL}" for i, _ in enumerate(content["labels"])]
    for scores in (kept["scores"], kept["scores_refitted"]):
        for split in (scores or {}).values():
            for label, one in zip(evil, split["per_label"], strict=True):
                one["label"] = label
    content["labels"] = evil
    content |= {"scores": None, "scores_refitted": None, "decisions": None}
    replace({k: v for k, v in content.items() if k not in ("labels", *kept)})
    content["recipe"] = {EVIL: EVIL}
    content["environment"] |= {"cpu_model": EVIL, "git_commit": EVIL}
    return Record.model_validate(content | kept | {"labels": evil})


def test_no_foreign_word_becomes_a_tag(full: list[Record], rendered: Path, tmp_path: Path) -> None:
    attacked = [hostile(record) for record in full]
    assert attacked[0].environment.cpu_model == attacked[0].data.name == EVIL
    assert attacked[0].latency["real"].load.reason == EVIL
    texts = {r.cell.scheme: [EVIL] * r.decisions.rows for r in full if r.decisions}
    write_report(attacked, tmp_path, title=EVIL, command=EVIL, texts=texts)
    tags = Tags((tmp_path / "report.html").read_text())
    assert len(tags.named("script")) == 1
    assert {a for _, found in tags.tags for a in found if a.startswith("on")} == set()
    assert "<script>alert(1)</script>" in "".join(tags.words)  # it is shown, as words
    expected = Tags((rendered / "report.html").read_text())
    for tag in ("img", "h1", "h2", "h3", "table", "a", "tr"):
        assert len(tags.named(tag)) == len(expected.named(tag)), tag

    text = (tmp_path / "report.md").read_text()
    markdown = Tags(MarkdownIt("commonmark").enable("table").render(text))
    assert not markdown.named("script")
    assert all((a["src"] or "").startswith("figures/") for a in markdown.named("img"))
    assert len(markdown.named("h1")) == 1
    assert len(markdown.named("a")) == 6  # the data files
    figures = [path.read_text() for path in (tmp_path / "figures").glob("*.svg")]
    assert not any("<script" in figure for figure in figures)
    written = [p for p in tmp_path.iterdir() if p.suffix in (".md", ".html", ".csv", ".json")]
    assert len(written) == 6
    assert not any("\x1b" in path.read_text() for path in written)


def test_every_block_in_both_forms() -> None:
    blocks = [
        "# T",
        Section(
            "S & <T>",
            "S",
            [
                Answers([Answer("raw", "deploy **x**", [("Why", "be*cause*")])]),
                Fold("a <b>", ["x *y*", Fold("inner", ["z"])]),
                Picture("p", "P", 'it\'s "so"'),
            ],
            printed=False,
        ),
    ]
    markdown = to_markdown(blocks)
    assert "## S \\& &lt;T&gt;" in markdown.replace("&amp;", "\\&")
    assert "### raw: deploy **x**\n\n- **Why**: be*cause*" in markdown
    assert "<details><summary>a &lt;b&gt;</summary>\n\nx *y*\n" in markdown
    assert '![P](figures/p.png)\n\n*P.* it\'s "so"' in markdown
    page = to_html(blocks, "<T>", {"p": b"<svg/>"})
    assert "<title>&lt;T&gt;</title>" in page
    assert '<section id="s1" class="screen">\n<h2>S &amp; &lt;T&gt;</h2>' in page
    assert '<li><a href="#s1">S</a></li>' in page
    assert "<dt>Why</dt><dd>be<em>cause</em></dd>" in page
    assert "<details><summary>a &lt;b&gt;</summary>\n<p>x <em>y</em></p>" in page
    assert 'alt="P: it&#x27;s &quot;so&quot;"' in page


def test_a_hostile_encoder_name_is_refused_in_one_line(
    make_record: Callable[..., Record],
) -> None:
    content = make_record().model_dump(mode="json")
    content["cell"]["encoder"] = "<b>x</b>"
    with pytest.raises(ValidationError, match="pattern"):
        Record.model_validate(content)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_a_page_of_any_valid_records_or_one_line(two_cells: list[Any], data: st.DataObject) -> None:
    """Replace any one value by any other of its kind: a page, or a RecordError, nothing else."""
    content = json.loads(json.dumps(two_cells))
    where: Any = content
    while True:
        key = data.draw(
            st.sampled_from(list(where) if isinstance(where, dict) else range(len(where)))
        )
        inside = where[key]
        if not isinstance(inside, dict | list) or not inside or data.draw(st.integers(0, 5)) == 0:
            numbers = st.integers(-1, 5) | st.floats(0, 1)
            where[key] = data.draw(numbers | st.none() | st.text() | st.lists(numbers, max_size=4))
            break
        where = inside
    try:
        records = [Record.model_validate(entry) for entry in content]
    except ValidationError:
        return
    try:
        blocks = page(find(records), title="t")
    except RecordError as error:
        assert "\n" not in str(error)
        return
    assert not re.search(r"\bnan\b", to_markdown(blocks))


@pytest.fixture(scope="module")
def two_cells(full: list[Record]) -> list[Any]:
    return [record.model_dump(mode="json") for record in full[:2]]
