"""`unmist look`: data, runs, pictures; `look noise IMAGE`; `look schedules`; `look rates DATA`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from json import loads
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App, Parameter

from unmist.cli.output import emit, note, plain
from unmist.cli.train import What

if TYPE_CHECKING:
    from unmist.workflows.look_noise import Column
    from unmist.workflows.look_run import RunLook
    from unmist.workflows.look_schedules import CurveOf, Stop

__all__ = ["Plan", "app", "look", "noise", "rates", "schedules"]

app = App(name="look")


@app.default
def look(
    what: str, /, *, to: Path | None = None, prompt: tuple[str, ...] = (), json: bool = False
) -> int:
    """Look at a data set, a run, or the settings of a picture.

    A folder or file called "noise", "schedules" or "rates" is meant as ./noise and the like.

    Parameters
    ----------
    what
        A folder of pictures, an array file, a built-in set; a run's folder; a picture.
    to
        Where the contact sheet (a .png) or the run's curves (a folder) go.
    prompt
        With a model that reads text: where in a sample each word is heard. May be repeated.
    json
        Print one JSON object on stdout.
    """
    if prompt:
        return _words(Path(what), to, prompt, json=json)
    from unmist.workflows.look import look as looked
    from unmist.workflows.look_data import DataLook
    from unmist.workflows.look_run import RunLook

    found = looked(what, to)
    if isinstance(found, DataLook):
        if json:
            emit({**loads(found.report.as_json()), "sheet": found.sheet})
        else:
            print(found.report.as_text())
            print(f"contact sheet: {found.sheet}")
    elif json:
        emit(found)
    else:
        print("\n".join(_run_lines(found) if isinstance(found, RunLook) else _told(found, "")))
    return 0


def _words(model: Path, to: Path | None, prompts: tuple[str, ...], *, json: bool) -> int:
    """A sample a prompt, beside it the attention to each word."""
    from unmist.conditions.text import Text
    from unmist.run.model import load
    from unmist.workflows.sample import Shot, Wish
    from unmist.workflows.wishes import named
    from unmist.workflows.word_maps import save_word_maps, word_maps

    loaded = load(model)
    wish: dict[str, Wish] = {named(loaded, Text, "--prompt"): prompts}
    found = word_maps(loaded, Shot(count=len(prompts), wish=wish))
    path = save_word_maps(found, to or model / "looks" / "words.png")
    if json:
        emit({"picture": path, "words": [one.words for one in found]})
    else:
        print(f"picture: {path}")
    return 0


def _told(table: object, path: str) -> Iterator[str]:
    """A nested table as `a.b: value` lines."""
    if isinstance(table, dict):
        for key, value in table.items():
            yield from _told(value, f"{path}.{key}" if path else str(key))
    else:
        yield f"{path}: {plain(table)}"


def _run_lines(run: "RunLook") -> Iterator[str]:
    yield f"{run.name}: {run.state}; {run.seen} of {run.samples} samples seen"
    held = f"{run.held:.4f} ± {run.held_error:.4f}" if isfinite(run.held) else "not measured"
    yield f"loss {run.loss:.4f}, held out {held}"
    for name, text in run.recipe.items():
        yield f"{name}: {text}"
    for notice in run.notices:
        yield f"note at {notice}"
    for alarm in run.alarms:
        yield f"alarm at {alarm}"
    yield from _told(run.scores, "score") if run.scores else ["scores: none yet"]
    for path in (run.curves, run.strip):
        if path is not None:
            yield f"picture: {path}"


@app.command
def noise(
    image: Path,
    /,
    *,
    schedule: str = "cosine",
    steps: int = 8,
    seed: int = 0,
    to: Path = Path("noise.png"),
    json: bool = False,
) -> int:
    """A picture at rising noise, with log-SNR, alpha and sigma under each column.

    Parameters
    ----------
    image
        Any picture.
    schedule
        cosine, flow, linear, scaled_linear, sigmoid, exploding or table.
    steps
        How many columns, with both ends.
    seed
        Of the noise.
    to
        The .png to write.
    json
        Print the figures as JSON; log_snr_text is "inf" or "-inf" where log_snr is null.
    """
    from unmist.run.picture import save_picture
    from unmist.workflows.look_noise import labelled, noise_row, opened_picture
    from unmist.workflows.look_schedules import named_schedules

    (chosen,) = named_schedules((schedule,)).values()
    row = noise_row(opened_picture(image), chosen, steps=steps, seed=seed)
    told = {"kind": "noise", "schedule": schedule, "columns": steps, "seed": seed}
    save_picture(to, labelled(row), told)
    if json:
        emit({**told, "picture": to, "figures": [_table(column) for column in row.columns]})
    else:
        print("\n".join([*map(_figures, row.columns), f"picture: {to}"]))
    return 0


def _table(at: "Column | Stop") -> dict[str, object]:
    """As JSON: log_snr is null at both ends, which log_snr_text tells apart."""
    return {**asdict(at), "log_snr_text": repr(at.log_snr), "sigma_squared": at.sigma**2}


def _figures(column: "Column") -> str:
    return (
        f"log-SNR {column.log_snr:8.3f}  alpha {column.alpha:.4f}  sigma {column.sigma:.4f}"
        f"  variance of the noise {column.noise_variance:.4f} ± {column.variance_error:.4f}"
    )


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan whose stops are marked.

    Parameters
    ----------
    spacing
        logistic, karras, log_snr, time or discrete (default: as sampling does by itself).
    steps
        How many.
    """

    spacing: str | None = None
    steps: int = 12


@app.command
def schedules(
    *names: str, plan: Plan | None = None, to: Path = Path("schedules.png"), json: bool = False
) -> int:
    """The curves of the noise schedules, with a plan's steps marked on them.

    Parameters
    ----------
    names
        Which ones; all of them by default.
    to
        The .png to write.
    json
        Print curves and stops as JSON; log_snr_text is "-inf" where log_snr is null.
    """
    plan = plan or Plan()
    curves = _curves(names, plan, to)
    if json:
        full = {
            name: {**asdict(curve), "stops": [_table(stop) for stop in curve.stops]}
            for name, curve in curves.items()
        }
        emit({"picture": to, "spacing": plan.spacing or "default", "schedules": full})
    else:
        for name, curve in curves.items():
            ends = f"log-SNR {curve.log_snr[0]:.2f} … {curve.log_snr[-1]:.2f}"
            note(f"{name}: {ends}, {len(curve.stops)} stops")
        print(f"picture: {to}")
    return 0


def _curves(names: tuple[str, ...], plan: Plan, to: Path) -> dict[str, "CurveOf"]:
    """The curves of these schedules, drawn at `to`. Raises BadInput, CannotWrite."""
    from unmist.run.picture import save_picture
    from unmist.run.plain import to_plain
    from unmist.run.recipe import FAMILIES, Sampling
    from unmist.workflows.look_schedules import (
        curve_of,
        drawn_curves,
        named_schedules,
        named_spacing,
    )

    spacing = named_spacing(plan.spacing)
    curves = {
        name: curve_of(name, schedule, spacing, plan.steps)
        for name, schedule in named_schedules(names).items()
    }
    sampling = to_plain(Sampling(steps=plan.steps, spacing=spacing), FAMILIES)
    del sampling["solver"]
    told = {"kind": "schedules", "schedules": list(curves), "sampling": sampling}
    save_picture(to, drawn_curves(curves), told)
    return curves


@app.command
def rates(
    data: str | None = None, /, *, what: What | None = None, updates: int = 200,
    to: Path = Path("rates.png"), json: bool = False,
) -> int:  # fmt: skip
    """Which learning rate suits a recipe and its data: the loss while the rate rises.

    Takes the flags of `unmist train` that say what is trained; the updates are thrown away.

    Parameters
    ----------
    data
        As for train.
    updates
        How many, 50 or more.
    to
        The .png to write.
    json
        Print one JSON object on stdout.
    """
    from unmist.base.faults import BadInput
    from unmist.data.opening import located
    from unmist.run.picture import save_picture
    from unmist.workflows.look_rates import drawn_rates, find_rate

    if updates < 50:
        raise BadInput(f"{updates} updates", where="--updates", mend="50 or more")
    recipe = (what or What()).recipe_for(data)
    located(recipe.data.source)
    found, now = find_rate(recipe, updates=updates), recipe.optimizer.rate
    save_picture(to, drawn_rates(found, now), {"kind": "rates", "data": recipe.data.source})
    if json:
        emit({"picture": to, "rate": now, **asdict(found)})
        return 0
    broke = "not reached" if found.broken is None else f"{found.broken:.2g}"
    print(f"least loss at {found.least:.2g}, divergence at {broke}; the recipe has {now:.2g}")
    print(f"suggested: --set optimizer.rate={found.chosen:.2g}")
    print(f"picture: {to}")
    return 0
