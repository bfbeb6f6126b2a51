"""The report as one HTML file that asks for nothing else: styles, script and figures lie in it.

Foreign words cannot become mark-up: they are escaped in the markdown, HTML in markdown is off, and
the page's content security policy allows this file's own script and nothing from a network.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from importlib import resources

from markdown_it import MarkdownIt

from goemo_eval.report.document import (
    Answer,
    Answers,
    Block,
    Column,
    Fold,
    Picture,
    Section,
    Table,
)
from goemo_eval.report.text import plain

# None of the characters that mean something in markdown or in HTML.
_PLAIN = re.compile(r"[^\\`*_\[\]<>&!\"'\n]*")


def to_html(blocks: Sequence[Block], title: str, pictures: Mapping[str, bytes]) -> str:
    """Return blocks as an HTML page.

    Parameters
    ----------
    blocks : sequence of Block
    title : str
        For the window.
    pictures : mapping of str to bytes
        SVG by name.
    """
    style, script = (_asset(name) for name in ("page.css", "page.js"))
    page = _Page(pictures)
    body = page.render(blocks)
    links = "".join(f'<li><a href="#{name}">{text}</a></li>' for name, text in page.menu)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_words(title)}</title>
<style>{style}</style>
</head>
<body>
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


class _Page:
    """Renders blocks and collects the menu."""

    def __init__(self, pictures: Mapping[str, bytes]) -> None:
        self.menu: list[tuple[str, str]] = []
        self._pictures = pictures
        self._markdown = MarkdownIt("commonmark", {"html": False})

    def render(self, blocks: Sequence[Block]) -> str:
        return "\n".join(self._block(block) for block in blocks)

    def _block(self, block: Block) -> str:
        match block:
            case Section(title, menu, body, printed):
                name = f"s{len(self.menu) + 1}"
                self.menu.append((name, _words(menu)))
                inside = self.render(body)
                kind = "" if printed else ' class="screen"'
                return (
                    f'<section id="{name}"{kind}>\n<h2>{_words(title)}</h2>\n{inside}\n</section>'
                )
            case Answers(boxes):
                inside = "\n".join(self._answer(box) for box in boxes)
                return f'<div class="answers">\n{inside}\n</div>'
            case Fold(summary, body):
                line = _words(summary)
                return f"<details><summary>{line}</summary>\n{self.render(body)}</details>"
            case Picture():
                return self._picture(block)
            case Table(columns):
                return self._table(block, columns)
            case str():
                return str(self._markdown.render(block))

    def _answer(self, box: Answer) -> str:
        facts = "\n".join(
            f"<dt>{_words(term)}</dt><dd>{self._inline(said)}</dd>" for term, said in box.facts
        )
        head = f"<h3>{_words(box.scheme)}: {self._inline(box.headline)}</h3>"
        return f'<article class="answer">\n{head}\n<dl>\n{facts}\n</dl>\n</article>'

    def _picture(self, block: Picture) -> str:
        source = base64.b64encode(self._pictures[block.name]).decode()
        title, alt = _words(block.title), _words(block.alt)
        return (
            f'<figure><img src="data:image/svg+xml;base64,{source}" alt="{title}: {alt}">'
            f"<figcaption><b>{title}.</b> {alt}</figcaption></figure>"
        )

    def _table(self, block: Table, columns: Sequence[Column]) -> str:
        kinds = ["" if column.words else ' class="n"' for column in columns]
        heads = "".join(
            f'<th scope="col"{kind}>{self._inline(column.head)}</th>'
            for kind, column in zip(kinds, columns, strict=True)
        )
        body = "\n".join(
            "<tr>"
            + "".join(
                f"<td{kind}>{self._inline(text)}</td>"
                for kind, text in zip(kinds, row, strict=True)
            )
            + "</tr>"
            for row in block.rows
        )
        key = f'\n<p class="key">{self._inline(block.key)}</p>' if block.key else ""
        return (
            f'<div class="wide" tabindex="0"><table>\n<thead><tr>{heads}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody>\n</table></div>{key}"
        )

    def _inline(self, text: str) -> str:
        """Render a cell; most are plain numbers, which need no parser."""
        return text if _PLAIN.fullmatch(text) else str(self._markdown.renderInline(text))


def _words(text: str) -> str:
    return html.escape(plain(text))


def _asset(name: str) -> str:
    return (resources.files("goemo_eval.report") / name).read_text(encoding="utf-8")
