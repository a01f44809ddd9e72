"""How a training run is followed: a bar on a terminal, lines elsewhere, JSON for programs."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from unmist.cli.output import emit, note

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from unmist.workflows.midway import Midway
    from unmist.workflows.train import Report

__all__ = ["clock", "figures", "follow", "followed"]

PAUSE = 10.0  # seconds between plain lines


def clock(seconds: float) -> str:
    """`4:05`, `1:02:03`."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def figures(report: "Report") -> str:
    """Loss, gradient norm, rate and the time left."""
    parts = [
        f"loss {report.loss:.4f}",
        f"gradient {report.grad_norm:.3g}",
        f"{report.speed:.0f} samples/s",
        f"{clock(report.left)} left",
    ]
    return ", ".join(parts)


def _events(report: "Report") -> Iterator[str]:
    """What is worth a line of its own."""
    if report.notice:
        yield f"note: {report.notice}"
    if report.held is not None:
        yield f"held-out loss {report.held.mean:.4f} ± {report.held.error:.4f}"
    if report.measured is not None:
        yield _measured(report.measured)
    for line in report.alarms:
        yield f"alarm: {line}"
    if report.look is not None:
        yield f"look: {report.look}"


def _measured(found: "Midway") -> str:
    """What samples are worth now, each figure beside what real pictures get."""
    kept = "; the best so far, kept" if found.best else ""
    return (
        f"{found.count} samples: Fréchet distance {found.frechet:.4g} (real {found.floor:.3g}), "
        f"coverage {found.coverage:.3f} (real {found.expected_coverage:.3f}), copies "
        f"{found.copies:.1%} (real {found.real_copies:.1%}), repeats {found.repeats:.1%} "
        f"(real {found.real_repeats:.1%}){kept}"
    )


def follow(reports: Iterable["Report"], *, json: bool) -> None:
    """Drain a training run and show it on stderr, or as lines of JSON on stdout."""
    if json:
        for report in reports:
            emit(report)
    elif sys.stderr is not None and sys.stderr.isatty():
        _bar(reports)
    else:
        _lines(reports)


def _lines(reports: Iterable["Report"]) -> None:
    last = 0.0
    for report in reports:
        events = list(_events(report))
        due = time.monotonic() - last >= PAUSE
        if report.speed and (events or due):
            last = time.monotonic()
            note(f"{report.seen} of {report.samples}: {figures(report)}")
        for event in events:
            note(f"  {event}")


def _bar(reports: Iterable["Report"]) -> None:
    with followed() as (progress, task):
        for report in reports:
            text = figures(report) if report.speed else "done" if report.finished else ""
            progress.update(task, total=report.samples, completed=report.seen, text=text)
            for event in _events(report):
                progress.console.print(event, markup=False, highlight=False)


@contextmanager
def followed(total: int | None = None) -> Iterator[tuple["Progress", "TaskID"]]:
    """A bar on stderr with room for a text; silent where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(bar_width=24), TaskProgressColumn(), TextColumn("{task.fields[text]}"))
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress, progress.add_task("", total=total, text="")
