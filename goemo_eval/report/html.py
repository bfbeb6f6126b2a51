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
from itertools import pairwise

from markdown_it import MarkdownIt

from goemo_eval.report.document import Block, Fold, Picture, Table

# None of the characters that mean something in markdown or in HTML.
_PLAIN = re.compile(r"[^\\`*_\[\]<>&!\"'\n]*")


def to_html(blocks: Sequence[Block], title: str, pictures: Mapping[str, bytes]) -> str:
    """Return blocks as an HTML page.

    Parameters
    ----------
    blocks : sequence of Block
    title : str
        Frozen text, for the window.
    pictures : mapping of str to bytes
        SVG by name.
    """
    style, script = (_asset(name) for name in ("page.css", "page.js"))
    page = _Page(pictures)
    body = page.render(blocks)
    links = "".join(f'<li><a href="#{name}">{text}</a></li>' for name, text in page.headings)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
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
    """Renders blocks and collects their headings."""

    def __init__(self, pictures: Mapping[str, bytes]) -> None:
        self.headings: list[tuple[str, str]] = []
        self._pictures = pictures
        self._markdown = MarkdownIt("commonmark", {"html": False})

    def render(self, blocks: Sequence[Block]) -> str:
        return "\n".join(self._block(block) for block in blocks)

    def _block(self, block: Block) -> str:
        if isinstance(block, Fold):
            summary = html.escape(" ".join(block.summary.split()))
            return f"<details><summary>{summary}</summary>\n{self.render(block.body)}</details>"
        if isinstance(block, Picture):
            source = base64.b64encode(self._pictures[block.name]).decode()
            title, alt = html.escape(block.title), html.escape(block.alt)
            return (
                f'<figure><img src="data:image/svg+xml;base64,{source}" alt="{title}: {alt}">'
                f"<figcaption><b>{title}.</b> {alt}</figcaption></figure>"
            )
        if isinstance(block, Table):
            return self._table(block)
        tokens = self._markdown.parse(block)
        for opening, inline in pairwise(tokens):
            if opening.type == "heading_open" and opening.tag == "h2":
                name = f"s{len(self.headings) + 1}"
                opening.attrSet("id", name)
                text = "".join(child.content for child in inline.children or [])
                self.headings.append((name, html.escape(text)))
        return str(self._markdown.renderer.render(tokens, self._markdown.options, {}))

    def _table(self, block: Table) -> str:
        kinds = [""] * block.words + [' class="n"'] * (len(block.headers) - block.words)
        heads = "".join(
            f'<th scope="col"{kind}>{self._inline(text)}</th>'
            for kind, text in zip(kinds, block.headers, strict=False)
        )
        body = "\n".join(
            "<tr>"
            + "".join(
                f"<td{kind}>{self._inline(text)}</td>"
                for kind, text in zip(kinds, row, strict=False)
            )
            + "</tr>"
            for row in block.rows
        )
        return (
            f'<div class="wide" tabindex="0"><table>\n<thead><tr>{heads}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody>\n</table></div>"
        )

    def _inline(self, text: str) -> str:
        """Render a cell; most are plain numbers, which need no parser."""
        return text if _PLAIN.fullmatch(text) else str(self._markdown.renderInline(text))


def _asset(name: str) -> str:
    return (resources.files("goemo_eval.report") / name).read_text(encoding="utf-8")
