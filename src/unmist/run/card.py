"""The model card: what a model is, what it learned from, how well, and where its limits are.

Every figure comes from the run's own files; what was not measured is said to be so.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from unmist.base import files
from unmist.run.model import WEIGHTS
from unmist.run.plain import to_plain
from unmist.run.recipe import FAMILIES
from unmist.run.sheet import sheet
from unmist.run.story import Story, read_story

__all__ = ["card_text", "leave_card", "summary", "write_card"]


def write_card(folder: Path) -> Path:
    """Write `card.md` into a run's folder. Raises BadInput, CannotWrite."""
    path = folder / "card.md"
    files.write_text(path, card_text(read_story(folder)))
    return path


def leave_card(folder: Path) -> str:
    """`write_card` after work that must not be lost by it: what went wrong, "" where nothing."""
    try:
        write_card(folder)
    except Exception as error:  # whatever it is, the run is whole: the card can be made again
        return f"the model card was not written ({type(error).__name__}: {error})"
    return ""


def card_text(story: Story) -> str:
    """The card in Markdown, with the data sheet at its end."""
    parts = (_head, _model, _data, _training, _measures, _limits, _use, sheet)
    return "\n\n".join("\n".join(part(story)) for part in parts) + "\n"


def summary(story: Story) -> dict[str, str]:
    """The recipe in a few lines: each part by its kind and its own values."""
    table = to_plain(story.recipe, FAMILIES)
    parts = ("network", "prediction", "schedule", "draw", "weighting", "optimizer", "average")
    return {name: _said(table[name]) for name in parts}


def _said(part: object) -> str:
    assert isinstance(part, dict)
    values = [f"{key} {_value(value)}" for key, value in part.items() if key != "kind"]
    kind = [str(part["kind"])] if "kind" in part else []
    return ", ".join([*kind, *values])


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "/".join(map(_value, value)) if isinstance(value, list) else str(value)


def _head(story: Story) -> Iterator[str]:
    yield f"# {story.name}"
    yield ""
    shape = "x".join(str(side) for side in story.recipe.shape[1:])
    colours = {1: "grey", 3: "colour"}.get(story.recipe.shape[0] if story.recipe.shape else 0)
    kind = f"{colours} pictures" if colours and len(story.recipe.shape) == 3 else "samples"
    yield f"A diffusion model that draws {kind} of {shape} like those of *{_of(story, 'data')}*."
    shown = story.folder / "samples" / "grid.png"
    look = shown if shown.is_file() else story.looks[-1] if story.looks else None
    if look is not None:
        yield ""
        yield f"![samples]({look.relative_to(story.folder).as_posix()})"


def _of(story: Story, key: str) -> str:
    return str(story.about.get(key, "")) or "not told"


def _model(story: Story) -> Iterator[str]:
    yield "## The model"
    yield ""
    for name, text in summary(story).items():
        yield f"- {name}: {text}"
    if story.digest:
        size = (story.folder / WEIGHTS).stat().st_size
        yield f"- weights: {size / 1e6:.2f} MB, safetensors, SHA-256 `{story.digest}`"
    if story.about.get("parent"):
        yield "- it began from the weights of another model"


def _data(story: Story) -> Iterator[str]:
    yield "## The data"
    yield ""
    rows, held = story.about.get("rows"), story.about.get("held")
    if isinstance(rows, int) and isinstance(held, int):
        yield f"- {_of(story, 'data')}: {rows} rows, {rows - held} for training, {held} held out"
    if isinstance(notes := story.about.get("notes"), list):
        yield from (f"- {note}" for note in notes)
    yield f"- fingerprint (SHA-256): `{_of(story, 'fingerprint')}`"
    licence = str(story.about.get("licence", ""))
    yield f"- licence: {licence or 'not stated: ask whoever made the data before publishing'}"


def _training(story: Story) -> Iterator[str]:
    plan, rows = story.recipe.training, story.about.get("rows")
    yield "## The training"
    yield ""
    times = ""
    if isinstance(rows, int) and isinstance(held := story.about.get("held"), int) and rows > held:
        times = f", each training row about {story.seen / (rows - held):.1f} times"
    yield f"- {story.seen} of {plan.samples} samples seen{times}"
    yield f"- batch {plan.batch}, seed {plan.seed}"
    if story.held:
        (start, first), (end, last) = story.held[0], story.held[-1]
        yield (
            f"- held-out loss {_close(first.mean, first.error)} after {start} samples, "
            f"{_close(last.mean, last.error)} after {end}"
        )
    yield from _midway(story)
    for seen, line in story.alarms:
        yield f"- alarm after {seen} samples: {line}"
    told = sum(bool(point.notice) for point in story.points)
    yield f"- troubles told in the log: {told}"
    machine = story.about.get("machine")
    if isinstance(machine, dict):
        known = [f"{key} {machine[key]}" for key in ("unmist", "torch", "device") if key in machine]
        yield f"- made with {', '.join(known)}"


def _midway(story: Story) -> Iterator[str]:
    """The measures during training in two lines, where there were any."""
    found = story.measures("frechet")
    if not found:
        return
    (start, first), (end, last) = found[0], found[-1]
    floor, coverage = (story.measures(name)[-1][1] for name in ("floor", "coverage"))
    yield (
        f"- Fréchet distance of samples {first:.4g} after {start} samples seen, {last:.4g} after "
        f"{end} (real pictures {floor:.3g}); coverage then {coverage:.3f}"
    )
    kept = [seen for seen, best in story.measures("best") if best == 1]
    if kept:
        by = story.recipe.measuring.best
        yield f"- weights/best.safetensors holds those after {kept[-1]}, the best by {by}"


def _close(value: float, error: float) -> str:
    return f"{value:.4f} ± {error:.4f}" if math.isfinite(error) else f"{value:.4f}"


def _measures(story: Story) -> Iterator[str]:
    yield "## The measures"
    yield ""
    if not story.scores:
        yield "None were made yet: how good the samples are, how many are copies, is not known."
        return
    yield "| measure | value |"
    yield "|---|---|"
    told = {key: value for key, value in story.scores.items() if key not in _UNTOLD}
    for name, value in _flat(told, ""):
        yield f"| {name} | {value} |"
    settings, verdict = story.scores.get("settings"), story.scores.get("verdict")
    measured = settings.get("hash") if isinstance(settings, dict) else None
    if measured and measured != story.digest:
        yield ""
        yield f"These were measured with other weights than the last: SHA-256 `{measured}`."
    if isinstance(verdict, list):
        yield ""
        yield from (f"- {line}" for line in verdict)


_UNTOLD = ("settings", "verdict", "notes")


def _measure(table: Mapping[str, object]) -> str:
    """A measure with all that is needed to read it, on one line: 0.93 [0.9, 0.95], floor 0.97."""
    low, high, floor = (table.get(key) for key in ("low", "high", "floor"))
    text = _figure(table["value"])
    if isinstance(low, float) and isinstance(high, float):
        text += f" [{_figure(low)}, {_figure(high)}]"
    text += f", floor {_figure(floor)}" if isinstance(floor, float) else ""
    against = f" against {table['reference']}" if table.get("reference") else ""
    return f"{text} ({table['count']} samples{against})"


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")


def _flat(table: Mapping[str, object], path: str) -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        name = f"{path} {key}".strip().replace("_", " ").replace("|", "/")
        if isinstance(value, dict) and {"value", "low", "high", "count"} <= value.keys():
            yield name, _measure(value)
        elif isinstance(value, dict):
            yield from _flat(value, name)
        elif isinstance(value, list):
            yield name, " / ".join(map(_figure, value))
        else:
            yield name, _figure(value)


def _limits(story: Story) -> Iterator[str]:
    rows = story.about.get("rows")
    yield "## The limits"
    yield ""
    yield "- It knows only its data: what they lack it cannot draw, what is skewed in them stays."
    if isinstance(rows, int):
        yield (
            f"- {rows} rows are few enough that a sample can be a near copy of one: "
            "compare before publishing."
            if rows < 100_000
            else "- A sample can be a near copy of a training row: compare before publishing."
        )
    if story.recipe.conditions:
        yield f"- It follows wishes of one kind only: {', '.join(story.recipe.conditions)}."
    else:
        yield "- It follows no wishes: no class, text or picture steers it."
    yield "- The licence of the data can bind what is done with the samples."
    if not story.finished:
        yield "- The training was not finished when this card was written."


def _use(story: Story) -> Iterator[str]:
    yield "## Use"
    yield ""
    yield "```"
    yield f"unmist sample {story.name} --count 16"
    yield "```"
    yield ""
    yield "Each picture carries its seed, settings and the model's hash: `unmist look PICTURE`."
    yield "Before anything is published: the data sheet below, and `unmist publish --help`."
