"""Curves as inline SVG: no script, colours from the page's style, readable without colour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Line", "chart", "ticks"]

WIDE, HIGH = 440, 220
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 10, 42
DASHES = ("", "7 4", "2 4", "9 3 2 3")


@dataclass(frozen=True)
class Line:
    """A curve: its name and its points; what is not finite is left out."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def finite(self) -> tuple[tuple[float, float], ...]:
        """The points that can be drawn."""
        return tuple((x, y) for x, y in self.points if math.isfinite(x + y))


def chart(title: str, lines: Sequence[Line], across: str) -> str:
    """A figure whose title names what is drawn upwards; "" where there are no two points."""
    lines = [line for line in lines if len(line.finite) > 1]
    if not lines:
        return ""
    xs = [x for line in lines for x, _ in line.finite]
    ys = [y for line in lines for _, y in line.finite]
    plane = _Plane(min(xs), max(xs), *_span(ys))
    told = "; ".join(f"{line.name} from {line.finite[0][1]:.4g} to {line.finite[-1][1]:.4g}"
                     for line in lines)  # fmt: skip
    parts = [*_axes(plane, across), *(_drawn(plane, n, line) for n, line in enumerate(lines))]
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDE} {HIGH}" '
        f'role="img" aria-label="{escape(f"{title}: {told}")}">{"".join(parts)}</svg>'
        f"{_legend(lines)}</figure>"
    )


@dataclass(frozen=True)
class _Plane:
    left: float
    right: float
    low: float
    high: float

    def x(self, value: float) -> float:
        share = (value - self.left) / ((self.right - self.left) or 1)
        return LEFT + share * (WIDE - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1)
        return HIGH - BOTTOM - share * (HIGH - TOP - BOTTOM)


def _span(values: list[float]) -> tuple[float, float]:
    """The range that is shown: single spikes at the top, a tenth of a percent, are cut off."""
    ordered = sorted(values)
    low, high = ordered[0], ordered[min(len(ordered) - 1, math.ceil(0.999 * len(ordered)))]
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1
    return low - room, high + room


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers inside a range, about `count`."""
    step = 10 ** math.floor(math.log10((high - low) / count or 1))
    step *= next(f for f in (1, 2, 5, 10) if (high - low) / (f * step) <= count)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step) + 1)]


def _axes(plane: _Plane, across: str) -> list[str]:
    parts = []
    for value in ticks(plane.low, plane.high):
        y = plane.y(value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for value in ticks(plane.left, plane.right) if plane.right > plane.left else []:
        x, y = plane.x(value), HIGH - BOTTOM + 18
        parts.append(f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{_short(value)}</text>')
    middle = (LEFT + WIDE - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HIGH - 4}" text-anchor="middle">{escape(across)}</text>')
    return parts


def _short(value: float) -> str:
    """1500000 as 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def _drawn(plane: _Plane, number: int, line: Line) -> str:
    bottom = HIGH - BOTTOM
    points = " ".join(
        f"{plane.x(x):.1f},{min(bottom, max(TOP, plane.y(y))):.1f}" for x, y in line.finite
    )
    dashes = DASHES[number % len(DASHES)]
    return (
        f'<polyline class="line c{number % len(DASHES)}" stroke-dasharray="{dashes or "none"}" '
        f'points="{points}"/>'
    )


def _legend(lines: Sequence[Line]) -> str:
    parts = [
        f'<span><svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true"><line '
        f'class="line c{n % len(DASHES)}" stroke-dasharray="{DASHES[n % len(DASHES)] or "none"}" '
        f'x1="0" x2="28" y1="4" y2="4"/></svg> {escape(line.name)}</span>'
        for n, line in enumerate(lines)
    ]
    return f'<p class="legend">{"".join(parts)}</p>'
