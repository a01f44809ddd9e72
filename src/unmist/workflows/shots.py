"""Which sample: from the settings that a picture carries, or from names and numbers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from unmist.base.faults import BadInput
from unmist.guidance.guide import Guide
from unmist.run.model import Model
from unmist.run.picture import read_settings
from unmist.run.plain import from_plain, set_path, to_plain
from unmist.run.recipe import EDITS, FAMILIES, Sampling
from unmist.workflows.guided import followed
from unmist.workflows.marking import own_mark
from unmist.workflows.sample import Shot, settled
from unmist.workflows.wishes import Wish, pictures, wished

__all__ = ["MOST", "altered_shot", "shot_like", "whole_shot"]

MOST = 1_000_000  # samples, or steps, in one go: beyond it is a slip of the finger
_KNOWN = ("model", "hash", "sample", "seed", "eta", "exact", "nfe", "shape", "sampling", "wish",
          "read", "time", "mark")  # fmt: skip
_UNEDITED = {name: getattr(Sampling(), name) for name in ("larger", *EDITS)}  # of older pictures
_MINE = (*_KNOWN, "version", "count", "kind")


def whole_shot(model: Model, shot: Shot) -> Shot:
    """The shot with the model's own steps, solver, spacing and edits where it names none."""
    return replace(shot, **vars(settled(model, shot)))


def altered_shot(model: Model, shot: Shot, settings: Mapping[str, object]) -> Shot:
    """A shot with values set by name: solver=heun, spacing.rho=5, eta=1. Raises BadInput."""
    said = shot.guide or model.recipe.sampling.guide  # before the model's own scale is put in
    table = to_plain(replace(whole_shot(model, shot), guide=said), FAMILIES)
    for path, value in settings.items():
        table = set_path(table, path, value)
    shot = checked_shot(from_plain(table, Shot, FAMILIES, "sample"))
    guide = settled(model, shot).guide  # refused here where its settings do not go together
    wished(followed(model, guide), shot.wish)
    wished(model, guide.negative)
    return shot


def checked_shot(shot: Shot) -> Shot:
    """The shot, if its numbers can be used; BadInput names the one that cannot."""
    for name, least, most in (
        ("count", 1, MOST),
        ("first", 0, 2**63 - 1),
        ("seed", 0, 2**63 - 1),
        ("steps", 1, MOST),
        ("batch", 1, MOST),
        *((name, 0, most) for name, most in EDITS.items()),
    ):
        value = getattr(shot, name)
        if value is not None and not least <= value <= most:
            raise BadInput(f"{name} is {value}", where="sample", mend=f"{least} … {most}")
    return shot


def shot_like(
    model: Model,
    picture: Path,
    *,
    other_model: bool = False,
    wish: Mapping[str, Wish] | None = None,
) -> Shot:
    """The shot that made a picture: same seed, number, steps, solver, spacing, scale.

    wish: in place of the picture's own. Raises BadInput where the picture does not say, or says
    that another model made it (unless other_model), or was told a picture that is no longer so.
    """
    told = read_settings(picture)
    if not {"hash", "sample", "seed", "sampling"} <= told.keys():
        mend = "give a picture that `unmist sample` wrote"
        raise BadInput("does not say how a sample was drawn", where=picture, mend=mend)
    if told["hash"] != model.digest and not other_model:
        raise BadInput(
            f"another model made it ({str(told.get('model', ''))[:40]} {str(told['hash'])[:10]}, "
            f"this one is {model.digest[:10]})",
            where=picture,
            mend="give that model, or pass --other-model",
        )
    if "mark" in told and told["mark"] != own_mark():
        mend = "draw it without by its seed and number, or name the right keys by UNMIST_KEYS"
        raise BadInput("its start was marked with another key", where=picture, mend=mend)
    shot = _led_as(model, _shot_of(told, picture))
    if wish is not None:
        return replace(shot, wish=dict(wish))
    _same_pictures(model, shot, told.get("read"))
    return shot


def _led_as(model: Model, shot: Shot) -> Shot:
    """At scale 1 where the picture says none: the model's own may have been measured since."""
    guide, recipe = shot.guide or Guide(), model.recipe
    if guide.scale or guide.weaker or guide.classifier:
        return shot
    if recipe.student is not None or not recipe.conditions:
        return shot
    return replace(shot, guide=replace(guide, scale=(1.0,)))


def _same_pictures(model: Model, shot: Shot, read: object) -> None:
    before = read if isinstance(read, dict) else {}
    asked = followed(model, shot.guide or Guide())
    for name, digest in pictures(asked, wished(asked, shot.wish)).items():
        if before.get(name, digest) != digest:
            what = "is not as it was when this sample was told it"
            raise BadInput(what, where=name[:80], mend="restore it, or say --want anew")


def _shot_of(told: Mapping[str, object], picture: Path) -> Shot:
    for key in told.keys() - set(_MINE):
        raise BadInput(f"its settings have an unknown '{key[:40]}'", where=picture)
    sampling = told["sampling"]
    table = {
        **_UNEDITED,
        "first": told["sample"],
        "count": told.get("count", 1),
        "seed": told["seed"],
        "eta": told.get("eta", 0.0),
        "exact": told.get("exact", False),
        **({"wish": told["wish"]} if "wish" in told else {}),
        **({"mark": True} if "mark" in told else {}),
        **(sampling if isinstance(sampling, dict) else {"sampling": sampling}),
    }
    try:
        return checked_shot(from_plain(table, Shot, FAMILIES, "settings"))
    except BadInput as fault:
        raise BadInput(f"{fault.where}: {fault.what}", where=picture, mend=fault.mend) from None
