"""Flags as people write them: `10m`, `network.width=96`; refused in one line."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unmist.base.faults import BadInput

if TYPE_CHECKING:
    from unmist.run.recipe import Recipe

__all__ = [
    "coded_by",
    "kinds_of",
    "recipe_of",
    "scales_of",
    "seconds",
    "settings_of",
    "with_codec_of",
]

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(h|m|s)?")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "": 1.0}
LONGEST = 366 * 24 * 3600.0


def seconds(text: str, *, where: str = "--budget") -> float:
    """`90`, `90s`, `10m`, `1h30m` in seconds: above 0, at most a year."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadInput(f"'{text[:40]}' is no time", where=where, mend="write 90s, 10m or 1h30m")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 < total <= LONGEST:
        raise BadInput(f"'{text[:40]}' is no time to work in", where=where, mend="e.g. 10m")
    return total


def scales_of(text: str, *, where: str) -> list[float]:
    """`2` or `1,2,4` as numbers. Raises BadInput."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        mend = "as in 2, or 1,2,4"
        raise BadInput(f"'{text[:40]}' is no scale", where=where, mend=mend) from None


def settings_of(pairs: Sequence[str]) -> dict[str, object]:
    """`--set a.b=value`, repeated, as {"a.b": value}; the last of one name counts."""
    from unmist.run.toml import parse_value

    settings: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            mend = "write it as --set network.width=96"
            raise BadInput("is not name=value", where=f"--set {pair[:80]}", mend=mend)
        settings[name.strip()] = parse_value(value.strip())
    return settings


def kinds_of(names: str) -> dict[str, object]:
    """`--on label,size` as settings of the recipe: by its name a condition's kind, or as in
    `sketch=image`; a name that is no kind is a column of numbers."""
    from unmist.run.recipe import FAMILIES, Condition

    family, settings = FAMILIES[Condition], {}
    for word in filter(None, (part.strip() for part in names.split(","))):
        name, equals, kind = word.partition("=")
        if equals:
            family[kind]  # refused here, with the names there are
        settings[f"conditions.{name}.kind"] = kind or (name if name in family else "number")
    return settings


def coded_by(name: str) -> dict[str, object]:
    """`--codec kl` as settings of the recipe; nothing for a folder, or where nothing is said."""
    from unmist.run.recipe import FAMILIES, Bottleneck

    if name not in FAMILIES[Bottleneck].names():
        return {}
    return {"codec.kind": "latent", "codec.bottleneck.kind": name}


def with_codec_of(recipe: "Recipe", name: str) -> "Recipe":
    """The recipe with the codec of a folder, where `--codec` names one. Raises BadInput."""
    from unmist.base.kinds import did_you_mean
    from unmist.run.codec import codec_of

    if not name or coded_by(name):
        return recipe
    if not Path(name).is_dir():
        mend = did_you_mean(name, ["kl", "vq"])
        raise BadInput(f"no codec or folder '{name[:80]}'", where="--codec", mend=mend)
    return replace(recipe, codec=codec_of(Path(name)))


def recipe_of(
    source: str | None, file: Path | None, size: str | None, settings: dict[str, object]
) -> "Recipe":
    """The default recipe or that of a file, the network's kind, its size, the single settings."""
    from unmist.run.model import with_codec
    from unmist.run.recipe import Recipe, altered, read_recipe, sized

    if source is None and file is None:
        from unmist.data.builtin import BUILT_IN

        names = ", ".join(BUILT_IN)
        mend = f"give a folder of pictures, an .npz or .npy file, or a built-in set: {names}"
        raise BadInput("no data is named", mend=mend)
    recipe = with_codec(read_recipe(file), file.parent) if file is not None else Recipe()
    if size is not None:
        kinds = {name: settings[name] for name in ("network", "network.kind") if name in settings}
        recipe = sized(altered(recipe, kinds), size)
    chosen = {} if source is None else {"data.source": source}
    return altered(recipe, {**chosen, **settings})
