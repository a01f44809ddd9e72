"""Averages of the weights stored through a run, and those of other widths made from them.

weights/averages/w0_05_000012800.safetensors        the average of width 0.05 after 12,800 samples
weights/averaged-0.03.safetensors                   made from them: `sample --weights averaged-0.03`
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.run.weights import load_weights, packed, write_weights
from unmist.training.ema import label
from unmist.training.posthoc import Mix, Profile, combined, mixed

__all__ = [
    "AVERAGES",
    "FURTHEST",
    "Stored",
    "averaged",
    "reach",
    "store",
    "stored_averages",
    "trim",
    "write_averaged",
]

AVERAGES = Path("weights") / "averages"
FURTHEST = 0.08
"""The largest part of a profile that may be missed."""

_NAME = re.compile(r"(w\d+(?:_\d+)?)_(\d{9,15})\.safetensors")


@dataclass(frozen=True)
class Stored:
    """One stored average."""

    path: Path
    profile: Profile


def store(folder: Path, seen: int, nets: dict[float, nn.Module]) -> None:
    """Write the averages as they are after `seen` samples, by width; each whole or not at all."""
    with files.told(folder):
        (folder / AVERAGES).mkdir(parents=True, exist_ok=True)
    for width, net in nets.items():
        path = folder / AVERAGES / f"{label(width)}_{seen:09d}.safetensors"
        write_weights(path, dict(net.state_dict()))


def trim(folder: Path, seen: int) -> None:
    """Drop those ahead of `seen`: of a branch that was left, or made again when the run goes on."""
    for path, _, after in _listed(folder):
        if after > seen:
            files.remove(path)


def stored_averages(folder: Path, widths: tuple[float, ...]) -> tuple[Stored, ...]:
    """All of these widths, the earliest first."""
    known = {label(width): width for width in widths}
    found = [
        Stored(path, Profile(seen, known[name]))
        for path, name, seen in _listed(folder)
        if name in known
    ]
    return tuple(sorted(found, key=lambda one: (one.profile.end, one.profile.width)))


def _listed(folder: Path) -> Iterator[tuple[Path, str, int]]:
    place = folder / AVERAGES
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        if match := _NAME.fullmatch(path.name):
            yield path, match[1], int(match[2])


def reach(stored: tuple[Stored, ...], width: float) -> Mix:
    """How the average of a width, at the last point stored, is made; BadInput beyond the reach."""
    profiles = [one.profile for one in stored]
    if not profiles:
        raise BadInput(
            "this run stored no averages",
            where="average",
            mend="train with snapshots.points above 0 (the default is 5)",
        )
    mix = mixed(profiles, Profile(profiles[-1].end, width))
    if mix.error > FURTHEST:
        kept = ", ".join(f"{w:g}" for w in sorted({profile.width for profile in profiles}))
        raise BadInput(
            f"width {width:g} would miss {mix.error:.0%} of its average's profile",
            where="average",
            mend=f"choose one nearer to the stored {kept}, or train with more snapshots.points",
        )
    return mix


def averaged(stored: tuple[Stored, ...], width: float) -> tuple[dict[str, Tensor], Mix]:
    """The weights of an average, from files read one at a time, and how they were made."""
    mix = reach(stored, width)
    used = [(one, share) for one, share in zip(stored, mix.shares, strict=True) if share]
    parts = (load_weights(one.path) for one, _ in used)
    return combined(parts, [share for _, share in used]), mix


def write_averaged(folder: Path, width: float, tensors: dict[str, Tensor]) -> Path:
    """Leave weights/averaged-WIDTH.safetensors."""
    path = folder / "weights" / f"averaged-{width:g}.safetensors"
    files.write_bytes(path, packed("averaged", tensors))
    return path
