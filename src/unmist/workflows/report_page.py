"""The dress of a report: one HTML document that asks nothing of anybody, light and dark."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO

import numpy as np

from unmist.run.picture import as_image, flat, grid
from unmist.workflows.gallery import zoom_for

__all__ = ["document", "picture", "section", "sheet", "table", "verdict_list"]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ground: #fbfaf8; --card: #ffffff; --ink: #1c1d20;
  --soft: #585b63; --rule: #dcdad5; --c0: #1f5fbf; --c1: #b3471b; --c2: #2c7a4b; --c3: #7a3fa0;
  --good: #1d6b3a; --warn: #8a5a00; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #15161a; --card: #1e2026; --ink: #ecebe7;
  --soft: #a9acb5; --rule: #383b44; --c0: #7fb0ff; --c1: #ff9d6e; --c2: #7fd6a0; --c3: #d3a5f5;
  --good: #7fd6a0; --warn: #f0c060; --bad: #ff9a92; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 0 0 .6rem; }
h3 { font-size: 1rem; margin: 1rem 0 0; }
p { margin: .4rem 0; max-width: 46rem; }
.soft, figcaption, .how { color: var(--soft); }
.how { font-size: .9rem; font-weight: 400; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 1rem 1.1rem; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
td:nth-child(3) { white-space: nowrap; }
th, td { text-align: left; padding: .45rem .6rem .45rem 0; border-top: 1px solid var(--rule);
  vertical-align: top; }
thead th { border-top: 0; color: var(--soft); font-weight: 500; font-size: .88rem; }
tbody th { font-weight: 600; }
ul.verdict { list-style: none; margin: 0; padding: 0; font-size: 1.05rem; }
ul.verdict li { padding: .3rem 0 .3rem 1.9rem; position: relative; max-width: 48rem; }
ul.verdict li b { position: absolute; left: 0; width: 1.5rem; text-align: center; }
.good b { color: var(--good); } .warn b { color: var(--warn); } .bad b { color: var(--bad); }
img { image-rendering: pixelated; max-width: 100%; height: auto; border-radius: 3px;
  background: var(--rule); }
.row { display: flex; flex-wrap: wrap; gap: .9rem; margin-top: .6rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr));
  gap: .6rem 1.6rem; }
figure { margin: .6rem 0 0; } .row figure { margin: 0; text-align: center; font-size: .85rem; }
.pair { display: flex; gap: 4px; }
svg { max-width: 100%; display: block; } figure > svg { width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 14px; font-family: inherit; }
.grid { stroke: var(--rule); } .line { fill: none; stroke-width: 2; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); }
.c3 { stroke: var(--c3); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; font-size: .9rem; color: var(--soft); }
.legend span { display: inline-flex; align-items: center; gap: .4rem; }
.bar { display: inline-block; height: .65rem; border-radius: 2px; background: var(--c0);
  vertical-align: middle; margin-right: .4rem; }
.bar.real { background: var(--soft); }
pre { overflow-x: auto; background: var(--ground); border: 1px solid var(--rule);
  border-radius: 6px; padding: .7rem; font-size: .85rem; }
code { overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  thead { position: absolute; left: -200vw; }
  table, tbody, tr, th, td { display: block; width: auto; }
  tbody tr { border-top: 1px solid var(--rule); padding: .5rem 0; }
  th, td { border: 0; padding: .1rem 0; }
  .row { gap: .7rem .5rem; } .pair img { max-width: 72px; }
  td[data-label]::before { content: attr(data-label) ": "; color: var(--soft); }
}
@media print { section { break-inside: avoid; } }
"""
_MARKS = {"good": ("✓", "good"), "warn": ("!", "look at this"), "bad": ("✕", "bad")}


def document(title: str, lines: Iterable[str], sections: Iterable[str]) -> str:
    """The whole page; `lines` stand below the title, and are text."""
    told = "".join(f'<p class="soft">{escape(line)}</p>' for line in lines)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>"
        f"<header><h1>{escape(title)}</h1>{told}</header>\n"
        + "\n".join(part for part in sections if part)
        + "\n</main></body></html>\n"
    )


def section(title: str, text: str, *parts: str) -> str:
    """A card with a heading and a sentence (text), then parts (HTML); "" without parts."""
    inside = "".join(parts)
    told = f"<p>{escape(text)}</p>" if text else ""
    return f"<section><h2>{escape(title)}</h2>{told}{inside}</section>" if inside else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of HTML cells, the first of each its heading; on a phone each row stands by itself."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = []
    for first, *cells in rows:
        rest = "".join(
            f'<td data-label="{escape(name)}">{cell}</td>' if cell else "<td></td>"
            for name, cell in zip(heads[1:], cells, strict=True)
        )
        body.append(f'<tr><th scope="row">{first}</th>{rest}</tr>')
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def verdict_list(lines: Iterable[tuple[str, str]]) -> str:
    """(good, warn or bad; a sentence), each with a sign that needs no colour."""
    parts = []
    for kind, text in lines:
        sign, name = _MARKS[kind]
        parts.append(
            f'<li class="{kind}"><b role="img" aria-label="{name}">{sign}</b>{escape(text)}</li>'
        )
    return f'<ul class="verdict">{"".join(parts)}</ul>' if parts else ""


def picture(pixels: np.ndarray, alt: str, side: int = 0) -> str:
    """One picture uint8 (c, *s), enlarged by a whole factor in the page, not in the file."""
    shown = flat(pixels[None])[0]
    zoom = side or zoom_for(shown[None])
    return _image(shown, alt, zoom)


def sheet(pixels: np.ndarray, alt: str, columns: int = 0) -> str:
    """Pictures uint8 (n, c, *s) in one."""
    zoom = max(1, zoom_for(flat(pixels[:1])) - 1)
    return _image(grid(pixels, columns), alt, zoom)


def _image(shown: np.ndarray, alt: str, zoom: int) -> str:
    buffer = BytesIO()
    as_image(shown).save(buffer, format="PNG", optimize=True)
    _, height, width = shown.shape
    return (
        f'<img width="{width * zoom}" height="{height * zoom}" alt="{escape(alt)}" '
        f'src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}">'
    )
