"""The HTML form: one file, nothing foreign in it, and what a browser makes of it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
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
from goemo_eval.report.document import Fold, Picture, to_markdown
from goemo_eval.report.html import to_html
from goemo_eval.report.intervals import resample
from goemo_eval.report.page import page
from goemo_eval.report.render import write_report
from goemo_eval.report.study.published import load_study

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))|`*_&amp;\n# big </summary></details>"


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
    assert len(page.named("img")) == 7


def test_the_page_asks_for_nothing(rendered: Path) -> None:
    page = Tags((rendered / "report.html").read_text())
    addresses = [a[k] for _, a in page.tags for k in ("src", "href", "action", "data") if a.get(k)]
    assert addresses
    assert all(
        address and address.startswith(("#", "data:image/svg+xml;base64,")) for address in addresses
    )
    assert not page.named("link")
    targets = {a["id"] for _, a in page.tags if "id" in a}
    assert {a["href"] for a in page.named("a")} == {f"#{name}" for name in targets}
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

    kept = {"decisions": content.pop("decisions")}
    replace(content)
    return Record.model_validate(content | kept)


def test_no_foreign_word_becomes_a_tag(full: list[Record], rendered: Path, tmp_path: Path) -> None:
    attacked = [hostile(record) for record in full]
    assert attacked[0].labels[0] == EVIL
    assert attacked[0].environment.cpu_model == EVIL
    texts = {r.cell.scheme: [EVIL] * r.decisions.rows for r in full if r.decisions}
    write_report(attacked, tmp_path, title=EVIL, command=EVIL, texts=texts)
    tags = Tags((tmp_path / "report.html").read_text())
    assert len(tags.named("script")) == 1
    assert {a for _, found in tags.tags for a in found if a.startswith("on")} == set()
    assert "<script>alert(1)</script>" in "".join(tags.words)  # it is shown, as words
    expected = Tags((rendered / "report.html").read_text())
    for tag in ("img", "h1", "h2", "h3", "details", "summary", "table", "a", "tr"):
        assert len(tags.named(tag)) == len(expected.named(tag)), tag

    text = (tmp_path / "report.md").read_text()
    markdown = Tags(MarkdownIt("commonmark").enable("table").render(text))
    assert not markdown.named("script")
    assert all((a["src"] or "").startswith("figures/") for a in markdown.named("img"))
    assert len(markdown.named("h1")) == 1
    assert not markdown.named("a")
    figures = [path.read_text() for path in (tmp_path / "figures").glob("*.svg")]
    assert not any("<script" in figure for figure in figures)


def test_folds_and_pictures_in_both_forms() -> None:
    blocks = [
        "# T",
        Fold("a <b>", ["x *y*", Fold("inner", ["z"])]),
        Picture("p", "P", 'it\'s "so"'),
    ]
    markdown = to_markdown(blocks)
    assert "<details><summary>a &lt;b&gt;</summary>\n\nx *y*\n" in markdown
    assert '![P: it\'s "so"](figures/p.png)' in markdown
    page = to_html(blocks, "<T>", {"p": b"<svg/>"})
    assert "<title>&lt;T&gt;</title>" in page
    assert "<details><summary>a &lt;b&gt;</summary>\n<p>x <em>y</em></p>" in page
    assert 'alt="P: it&#x27;s &quot;so&quot;"' in page


BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

# Runs in the page around the report: sorts a table as a reader would, and measures.
PROBE = """
<script>
frame.onload = () => setTimeout(() => {
  const page = frame.contentDocument, root = page.documentElement;
  const tables = [...page.querySelectorAll("table")];
  const table = tables.find((t) => t.tHead.rows[0].cells[2]?.textContent === "validation");
  const head = table.tHead.rows[0].cells[2], button = head.querySelector("button");
  const column = () => [...table.tBodies[0].rows].map((row) => row.cells[2].textContent);
  const sorted = [];
  for (let turn = 0; turn < 2; turn++) {
    button.focus(); button.click();
    sorted.push([head.getAttribute("aria-sort"), column()]);
  }
  const result = {
    sorted, focused: page.activeElement === button, overflow: root.scrollWidth - root.clientWidth,
    wide: [...page.querySelectorAll(".wide")].filter((div) => div.scrollWidth > div.clientWidth).length,
    images: [...page.images].map((image) => image.naturalWidth),
    background: getComputedStyle(page.body).backgroundColor,
  };
  const out = document.createElement("pre");
  out.id = "out"; out.textContent = JSON.stringify(result);
  document.body.append(out);
}, 50);
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser(rendered: Path, tmp_path: Path, dark: bool) -> None:
    report = html.escape((rendered / "report.html").read_text())
    frame = f'<iframe id="frame" style="width:390px;height:800px" srcdoc="{report}"></iframe>'
    (tmp_path / "probe.html").write_text(f"<!DOCTYPE html><meta charset=utf-8>{frame}{PROBE}")
    with tempfile.TemporaryDirectory() as profile:
        shown = subprocess.run(
            [
                str(BROWSER),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                f"--blink-settings=preferredColorScheme={0 if dark else 1}",
                f"--user-data-dir={profile}",
                "--virtual-time-budget=10000",
                "--dump-dom",
                (tmp_path / "probe.html").as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
    match = re.search(r'<pre id="out">(.*?)</pre>', shown, re.DOTALL)
    assert match, shown[-2000:]
    found = json.loads(html.unescape(match[1]))
    (rising, up), (falling, down) = found["sorted"]
    assert (rising, falling) == ("ascending", "descending")
    assert up == sorted(up, key=float)
    assert down == sorted(down, key=float, reverse=True)
    assert found["focused"]
    assert found["overflow"] == 0  # a phone scrolls tables, not the page
    assert found["wide"] > 0
    assert len(found["images"]) == 7
    assert all(found["images"])
    light = sum(map(int, re.findall(r"\d+", found["background"]))) > 3 * 128
    assert light != dark


def test_a_hostile_encoder_name_is_refused_in_one_line(
    make_record: Callable[..., Record],
) -> None:
    content = make_record().model_dump(mode="json")
    content["cell"]["encoder"] = EVIL
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
        intervals = resample(records)
        blocks = page(records, load_study(), intervals, title="t")
    except RecordError as error:
        assert "\n" not in str(error)
        return
    assert not re.search(r"\bnan\b", to_markdown(blocks))


@pytest.fixture(scope="module")
def two_cells(full: list[Record]) -> list[Any]:
    return [record.model_dump(mode="json") for record in full[:2]]
