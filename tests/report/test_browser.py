"""What a browser makes of the page: at both widths, light and dark, and on paper."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from goemo_eval.measure.machine_load import Load
from goemo_eval.records.schema import Record
from goemo_eval.report.render import write_report

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")

# Runs in the page around the report: sorts a table as a reader would, and measures.
PROBE = """
<script>
frame.onload = () => setTimeout(() => {
  const page = frame.contentDocument, root = page.documentElement;
  const tables = [...page.querySelectorAll("table")];
  const heads = (table) => [...table.tHead.rows[0].cells];
  const table = tables.find((t) => heads(t)[2]?.textContent === "validation");
  const head = heads(table)[2], button = head.querySelector("button");
  const column = () => [...table.tBodies[0].rows].map((row) => row.cells[2].textContent);
  const sorted = [];
  for (let turn = 0; turn < 2; turn++) {
    button.focus(); button.click();
    sorted.push([head.getAttribute("aria-sort"), column()]);
  }
  const result = {
    sorted, focused: page.activeElement === button, overflow: root.scrollWidth - root.clientWidth,
    wide: [...page.querySelectorAll(".wide")].filter((div) => div.scrollWidth > div.clientWidth).length,
    answers: [...page.querySelectorAll(".answer")].map((box) => {
      const place = box.getBoundingClientRect();
      return { top: place.top + frame.contentWindow.scrollY, height: place.height, cut: box.scrollWidth - box.clientWidth };
    }),
    sizes: [...page.querySelectorAll(".answer, .answer dd")].map((e) => parseFloat(getComputedStyle(e).fontSize)),
    images: [...page.images].map((image) => image.naturalWidth),
    background: getComputedStyle(page.body).backgroundColor, ink: getComputedStyle(page.body).color,
  };
  const out = document.createElement("pre");
  out.id = "out"; out.textContent = JSON.stringify(result);
  document.body.append(out);
}, 50);
</script>
"""


def browse(*arguments: str) -> str:
    """Run the browser without a window and without a network."""
    with tempfile.TemporaryDirectory() as profile:
        return subprocess.run(
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
                f"--user-data-dir={profile}",
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout


def probe(report: Path, at: Path, *, width: int, height: int, dark: bool = False) -> dict[str, Any]:
    page = html.escape(report.read_text())
    style = f"border:0;width:{width}px;height:{height}px"
    frame = f'<iframe id="frame" style="{style}" srcdoc="{page}"></iframe>'
    at.write_text(f"<!DOCTYPE html><meta charset=utf-8>{frame}{PROBE}")
    shown = browse(
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--virtual-time-budget=10000",
        "--dump-dom",
        at.as_uri(),
    )
    match = re.search(r'<pre id="out">(.*?)</pre>', shown, re.DOTALL)
    assert match, shown[-2000:]
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    return found


@pytest.mark.parametrize(
    ("width", "height", "dark"), [(1280, 800, False), (390, 844, True)], ids=["desk", "phone"]
)
def test_the_first_screen_and_the_rest(
    rendered: Path, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    found = probe(
        rendered / "report.html", tmp_path / "probe.html", width=width, height=height, dark=dark
    )
    (rising, up), (falling, down) = found["sorted"]
    assert (rising, falling) == ("ascending", "descending")
    assert up == sorted(up, key=float)
    assert down == sorted(down, key=float, reverse=True)
    assert found["focused"]
    assert found["overflow"] == 0  # a narrow screen scrolls tables, not the page
    assert (found["wide"] > 0) == (width < 1000)
    assert len(found["images"]) == 5
    assert all(found["images"])
    light, ink = (sum(map(int, re.findall(r"\d+", found[k]))) for k in ("background", "ink"))
    assert (light < 3 * 128 < ink) if dark else (ink < 3 * 128 < light)
    first, second = found["answers"]
    assert first["top"] + first["height"] <= height
    assert second["height"] <= height
    assert (second["top"] == first["top"]) == (width > 1000)  # side by side where there is room
    assert first["cut"] == second["cut"] == 0
    assert min(found["sizes"]) >= 12


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)], ids=["desk", "phone"])
def test_the_first_screen_holds_the_worst_that_can_be_said(
    full: list[Record],
    busy: Load,
    timed_beside: Callable[..., Record],
    tmp_path: Path,
    width: int,
    height: int,
) -> None:
    """Unstable times, a long processor name and a long title still leave the answer on the screen."""
    loud = busy.model_copy(update={"reason": f"{busy.reason}; times of one batch spread by 31%"})
    records = []
    for record in full:
        environment = record.environment.model_copy(
            update={"cpu_model": "AMD EPYC 7B13 64-Core Processor with a long name"}
        )
        loaded = timed_beside(record, loud)
        records.append(loaded.model_copy(update={"environment": environment}))
    write_report(records, tmp_path / "out", title="goemo_eval report: tickets of the help desk")
    found = probe(tmp_path / "out/report.html", tmp_path / "probe.html", width=width, height=height)
    first = found["answers"][0]
    assert first["top"] + first["height"] <= height
    assert found["overflow"] == 0


def test_on_paper_it_takes_two_pages_and_cuts_no_table(rendered: Path, tmp_path: Path) -> None:
    printed = tmp_path / "report.pdf"
    browse(
        f"--print-to-pdf={printed}",
        "--no-pdf-header-footer",
        (rendered / "report.html").as_uri(),
    )
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", printed.read_bytes())) == 2
    style = (rendered / "report.html").read_text().split("@media print", 1)[1]
    assert re.search(r"\.wide \{[^}]*break-inside: avoid", style)
    assert re.search(r"\.answer \{[^}]*break-inside: avoid", style)
