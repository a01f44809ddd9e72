"""`unmist sample`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from unmist.base.faults import BadInput
from unmist.cli.flags import scales_of, settings_of
from unmist.cli.output import emit, note
from unmist.cli.progress import followed

if TYPE_CHECKING:
    from unmist.run.model import Model
    from unmist.workflows.gallery import Written
    from unmist.workflows.sample import Samples, Shot
    from unmist.workflows.wishes import Wish

__all__ = ["Draw", "drawn", "sample"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Draw:
    """What to draw.

    Parameters
    ----------
    count
        How many samples.
    seed
        Sample i of a seed is always the same.
    steps
        Steps of the plan (default: the recipe's).
    set
        One setting, as in solver=heun, spacing=time, eta=1, larger=true, churn=20, langevin=1,
        exact=true, first=64; may be repeated.
    class
        Of these classes, in turn (default: all of them, where the model knows classes).
    prompt
        What to draw, in words; several are taken in turn.
    want
        name=value of any condition; `name=` is nothing. May be repeated, one name's values in turn.
    scale
        How hard the wish is followed: 1 as trained, 0 not at all; several with commas, in turn
        (default: the scale that was measured to be best for the model, else 1).
    negative
        What to lead away from: words, or a class. More of guidance by --set guide.low=0.3 and the
        like: high, rescale, threshold, weaker, classifier, scales.NAME.
    like
        A picture with settings: draw it again.
    other_model
        With --like: draw it with this model although another made the picture.
    mark
        Start from noise with your own mark in it: `unmist verify --model` finds it again in
        files as drawn, with 12 steps or more; not with a student, often not once published.
    weights
        Which of the model's: last, best (measured during training), averaged-WIDTH.
    """

    count: int | None = None
    seed: int | None = None
    steps: int | None = None
    set: tuple[str, ...] = ()
    class_: Annotated[tuple[str, ...], Parameter(name="--class")] = ()
    prompt: tuple[str, ...] = ()
    want: tuple[str, ...] = ()
    scale: str | None = None
    negative: str | None = None
    like: Path | None = None
    other_model: bool = False
    mark: bool = False
    weights: str = "last"

    def shot(self, model: "Model") -> "Shot":
        """For the workflow. Raises BadInput."""
        from unmist.workflows.sample import Shot
        from unmist.workflows.shots import altered_shot, shot_like

        base, wish = Shot(), self._wish(model) or None
        if self.like is not None:
            base = shot_like(model, self.like, other_model=self.other_model, wish=wish)
        named = {"count": self.count, "seed": self.seed, "steps": self.steps}
        chosen = {name: value for name, value in named.items() if value is not None}
        base = replace(base, wish=wish) if wish else base
        base = replace(base, mark=True) if self.mark else base
        led = self._led(model)
        return altered_shot(model, base, {**chosen, **led, **settings_of(self.set)})

    def _led(self, model: "Model") -> dict[str, object]:
        """What --scale and --negative say, as settings."""
        from unmist.conditions.label import Label
        from unmist.conditions.text import Text
        from unmist.workflows.wishes import named

        led: dict[str, object] = {}
        if self.scale is not None:
            led["guide.scale"] = scales_of(self.scale, where="--scale")
        if self.negative is not None:
            texts = any(isinstance(part, Text) for part in model.recipe.conditions.values())
            name = named(model, Text if texts else Label, "--negative")
            led[f"guide.negative.{name}"] = self.negative
        return led

    def _wish(self, model: "Model") -> "dict[str, Wish]":
        """What --class, --prompt and --want ask, by the names of the model's conditions."""
        from unmist.conditions.label import Label
        from unmist.conditions.text import Text
        from unmist.guidance.guide import Guide
        from unmist.run.guide import CLASSIFIER
        from unmist.workflows.guided import followed
        from unmist.workflows.wishes import named

        known = model.recipe.conditions.values()
        classed = any(isinstance(part, Label) for part in known)
        if not classed and (model.folder / CLASSIFIER).is_file():  # its classifier knows some
            led = followed(model, Guide(classifier=1.0))
        else:
            led = model
        wish: dict[str, tuple[str, ...]] = {}
        for asked, flag, kind, values in (
            (led, "--class", Label, self.class_),
            (model, "--prompt", Text, self.prompt),
        ):
            if values:
                wish[named(asked, kind, flag)] = values
        for pair in self.want:
            name, equals, value = pair.partition("=")
            if not equals or not name.strip():
                mend = "write it as --want label=3"
                raise BadInput("is not name=value", where=f"--want {pair[:80]}", mend=mend)
            wish[name.strip()] = (*wish.get(name.strip(), ()), value.strip())
        return dict(wish)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Onward:
    """What becomes of the samples.

    Parameters
    ----------
    then
        A model trained --on small, which enlarges them.
    augment
        With --then: the noise with which it is told of them, in units of 127.5 levels.
    as
        Also write each sample as: of clips webp, gif or mp4; of volumes npy, nii, nii.gz, or obj or
        stl, the closed surface at half full; of anything else npy.
    """

    then: Path | None = None
    augment: float = 0.1
    as_: Annotated[str, Parameter(name="--as")] = ""

    def drawn(self, model: "Model", shot: "Shot", *, film: bool) -> "Samples":
        """The samples, of both models where there are two. Raises BadInput."""
        from unmist.run.model import load
        from unmist.workflows.cascade import cascade

        if self.then is None:
            return drawn(model, shot, film=film)
        if film:
            raise BadInput("a cascade has no film", where="--film", mend="leave it out")
        return cascade(model, load(self.then), shot, self.augment)


def sample(
    model: Path, /, *, draw: Draw | None = None, to: Path | None = None, film: bool = False,
    json: bool = False, onward: Onward | None = None,
) -> int:  # fmt: skip
    """Draw samples from a trained model.

    Parameters
    ----------
    model
        The folder that `unmist train` wrote.
    to
        A folder for pictures and grid, or the name of one .png (default: samples/ in the model).
    film
        Also leave the denoising as an animation.
    json
        Print one JSON object on stdout.
    """
    from unmist.run.model import load

    place = to or model / "samples"
    if to is not None and to.suffix and to.suffix.lower() != ".png" and not to.is_dir():
        raise BadInput(
            "is no name for a picture", where=to, mend="end it in .png, or name a folder"
        )
    draw = draw or Draw()
    loaded = load(model, weights=draw.weights)
    shot = draw.shot(loaded)
    for doubt in _doubts(loaded, shot):
        note(f"note: {doubt}")
    onward = onward or Onward()
    _check_as(loaded, onward, place)
    samples = onward.drawn(loaded, shot, film=film)
    written = _written(samples, shot, place, onward.as_, film=film)
    if json:
        emit({"settings": samples.settings, "count": len(samples.pixels), **vars(written)})
    else:
        if line := _led_at(loaded, shot, own=draw.scale is None and draw.like is None):
            note(line)
        _say(samples, written)
    return 0


def _doubts(model: "Model", shot: "Shot") -> list[str]:
    """What may not come out as it was asked, or does nothing."""
    from unmist.workflows.guided import followed, unheard
    from unmist.workflows.marking import lost
    from unmist.workflows.sample import settled
    from unmist.workflows.wishes import doubts

    guide = shot.guide or model.recipe.sampling.guide
    said = [*doubts(followed(model, guide), shot.wish), *unheard(model, guide, shot.wish)]
    if shot.mark and (faint := lost(settled(model, shot).steps)):
        said.append(faint)
    return said


def drawn(model: "Model", shot: "Shot", *, film: bool = False) -> "Samples":
    """The samples, under a bar."""
    from unmist.workflows.gallery import developed
    from unmist.workflows.sample import plan_of, sampling

    moves = len(plan_of(model, shot)[0].moves) * -(-shot.count // shot.batch)
    with followed(moves) as (progress, task):
        states = sampling(model, shot)
        shown = (progress.advance(task) or pair for pair in states)
        return developed(model, shot, shown, film=film)


def _led_at(model: "Model", shot: "Shot", *, own: bool) -> str:
    """At which scale samples are led, where it is not 1 and the model itself says it."""
    from unmist.run.guide import scale_of
    from unmist.workflows.sample import settled

    scale, kept = settled(model, shot).guide.scale, scale_of(model.folder)
    if not own or kept is None or scale != (kept.scale,):
        return ""
    other = "" if kept.weights == model.digest else ", of other weights"
    below = f" below sigma/alpha {kept.high:g}" if kept.high else ""
    return (
        f"guided at scale {kept.scale:g}{below}, as measured for this model{other}; "
        "else say --scale"
    )


def _check_as(model: "Model", onward: Onward, place: Path) -> None:
    """What --as asks, before anything is drawn. Raises BadInput."""
    from unmist.run.export import check_export

    if not onward.as_:
        return
    if place.suffix.lower() == ".png" and not place.is_dir():
        mend = "name a folder with --to"
        raise BadInput("one picture has no other files", where="--as", mend=mend)
    check_export(onward.as_, model.shape, time=model.recipe.time)


def _written(samples: "Samples", shot: "Shot", place: Path, kind: str, *, film: bool) -> "Written":
    from unmist.workflows import gallery

    if place.suffix.lower() == ".png" and not place.is_dir():
        written = gallery.Written(grid=gallery.save_grid(samples, place))
        movie = place.with_suffix(".webp")
    else:
        written, movie = gallery.save_samples(samples, shot, place, kind), place / "denoising.webp"
    return gallery.with_film(written, gallery.save_denoising(samples, movie)) if film else written


def _say(samples: "Samples", written: "Written") -> None:
    from unmist.workflows.gallery import written_paths

    count = len(samples.pixels)
    note(f"{count} sample{'s' * (count > 1)}, {samples.calls} network evaluations each")
    paths = list(written_paths(written))
    for path in paths[:3]:
        print(path)
    if len(paths) > 3:
        print(f"and {len(paths) - 3} more in {paths[-1].parent}")
