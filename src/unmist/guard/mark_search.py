"""Looking for the watermark in a picture that was cut, moved, scaled, blurred or toned.

A list of ways of looking is fixed by the picture's size alone, with weights that sum to 1; a chance
found in one way is divided by its weight. So which of them are tried, in which order, and where the
search stops is free: it cannot make the odds too good.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from unmist.guard.mark_handling import rescaled, sharpened, toned
from unmist.guard.mark_lattice import BLOCK, LEAST, TILE, blocks_of, phases_of, tiled, wave_forms
from unmist.guard.mark_odds import LN10, Odds, cosine_tail

__all__ = ["SURE", "anywhere", "as_it_is", "cut", "scaled"]

PLAIN, CUT, SCALED, ANYWHERE = 0.5, 0.2, 0.2, 0.1  # how the chance is shared
BLURS = (0.0, 0.4, 0.6, 0.8, 1.0)
TONES = (1.0, 1 / 1.1, 1.1, 1 / 1.25, 1.25)
FEW_BLURS, FEW_TONES = (0.0, 0.5, 1.0), (1.0, 1 / 1.1, 1.1)
KNOWN = (2.0, 0.5, 1.5, 3.0, 1 / 3)  # screens and previews, beside the even list
LOW, HIGH = 0.7, 1.45
FINER = (-0.5, -0.25, 0.0, 0.25, 0.5)  # of the distance between two scales of the list
WIDEST = 256  # pixels a side that a search looks at, the corner of larger pictures
BEFORE = 2  # pixels that a cut picture may have gained at its left and at its top
ROUGH = 128  # pixels a side that choose the scales
CHOSEN = 3  # scales that are looked at closely
SURE = -14.0  # where a search stops


@dataclass(frozen=True)
class Look:
    """One way: the picture's size times `scale`, its tone to `power`, a blur undone."""

    scale: float = 1.0
    power: float = 1.0
    blur: float = 0.0

    def __call__(self, light: Tensor) -> Tensor:
        """(1, h, w) -> (1, h', w')."""
        seen = light if self.scale == 1 else rescaled(light, self.scale)
        return sharpened(toned(seen, self.power), self.blur)

    def __str__(self) -> str:
        parts = [f"scaled by {self.scale:.3g}"] if self.scale != 1 else []
        parts += [f"toned by {self.power:.3g}"] if self.power != 1 else []
        parts += [f"a blur of {self.blur:g} undone"] if self.blur else []
        return ", ".join(parts)


@dataclass(frozen=True, eq=False)
class Found:
    """What one way gave: the sum of cosines, how much each secret phase can move it, its share."""

    total: float
    sizes: Tensor
    count: int
    how: str
    share: float

    @property
    def promise(self) -> float:
        """About log10 of the chance, quickly."""
        square = self.total * abs(self.total) / max(float(self.sizes.square().sum()), 1.0)
        return -square / LN10 - math.log10(self.share)

    def odds(self, tried: int) -> Odds:
        """A bound that holds, corrected by the share."""
        log10_p = min(0.0, cosine_tail(self.total, self.sizes) - math.log10(self.share))
        return Odds(log10_p, self.total / max(self.count, 1), self.count, tried, self.how)


def _best(found: Sequence[Found], tried: int) -> Odds:
    return min(found, key=lambda place: place.promise).odds(tried)


def as_it_is(light: Tensor, secret: Tensor) -> Odds:
    """(1, h, w) in its place, at every tone and blur; of large pictures 512 by 512 pixels."""
    light = _corner(light, 2 * WIDEST)
    looks = [Look(power=power, blur=blur) for power in TONES for blur in BLURS]
    seen = [sharpened(torch.cat([toned(light, power) for power in TONES]), blur) for blur in BLURS]
    phases = phases_of(blocks_of(torch.stack(seen, 1).flatten(0, 1)))
    found = []
    for look, own in zip(looks, phases, strict=True):
        share = PLAIN * (0.5 if look == Look() else 0.5 / (len(looks) - 1))
        total, sizes = float(torch.cos(own - tiled(secret, own)).sum()), torch.ones(own.numel())
        if max(own.shape[-2:]) > TILE:  # a secret phase that is used again counts once, for more
            sizes = _folded(torch.polar(torch.ones_like(own), own)).abs().flatten()
        found.append(Found(total, sizes, own.numel(), str(look) or "in its place", share))
    return _best(found, len(looks))


def cut(light: Tensor, secret: Tensor) -> Odds:
    """(1, h, w), what a larger picture left where at most a third was cut off at top and left."""
    light, looks = _corner(light), [Look(blur=blur) for blur in FEW_BLURS]
    found = [_near(light, secret, look, CUT / len(looks)) for look in looks]
    return _best(found, len(looks) * _places(light))


def anywhere(light: Tensor, secret: Tensor) -> Odds:
    """(1, h, w), cut out of any place of a larger picture."""
    side = BLOCK * TILE
    light = _corner(light)
    turned = _folded(_turned(light))
    spectrum = torch.fft.fft2(turned).conj() * torch.fft.fft2(torch.polar(*_unit(secret)))
    sums = torch.fft.ifft2(spectrum.sum(2)).real  # (8, 8, 32, 32)
    energy = turned.abs().square().sum((2, 3, 4))
    scores = sums / energy.sqrt().clamp(min=1.0)[:, :, None, None]
    top, left, row, column = _unravelled(int(scores.argmax()), scores.shape)
    place = ((row * BLOCK - top) % side, (column * BLOCK - left) % side)
    sizes, how = turned[top, left].abs().flatten(), f"cut at ({place[0]}, {place[1]})"
    total, count = float(sums[top, left, row, column]), round(float(sizes.sum()))
    return Found(total, sizes, count, how, ANYWHERE / scores.numel()).odds(scores.numel())


def scaled(light: Tensor, secret: Tensor) -> Odds:
    """(1, h, w) scaled and cut: a rough list of scales, the best of it looked at closely."""
    light = _corner(light, 2 * WIDEST)
    gap = 3 / min(ROUGH, max(light.shape[-2:]))
    rough = [LOW + gap * step for step in range(math.ceil((HIGH - LOW) / gap))]
    rough = [scale for scale in (*KNOWN, *rough) if scale * min(light.shape[-2:]) >= LEAST + 1]
    ways = len(rough) * len(FINER) * len(FEW_TONES) * len(FEW_BLURS)
    seen: dict[Look, Found] = {}

    def at(look: Look) -> float:
        if look not in seen:
            seen[look] = _near(light, secret, look, SCALED / ways)
        return seen[look].promise

    def about(look: Look) -> float:
        part = _corner(light, math.ceil(ROUGH / look.scale))
        return _near(part, secret, look, SCALED / ways).promise

    for first in sorted((Look(scale, blur=0.5) for scale in rough), key=about)[:CHOSEN]:
        best = min((replace(first, power=power) for power in FEW_TONES), key=at)
        best = min((replace(best, scale=best.scale + gap * part) for part in FINER), key=at)
        best = min((replace(best, blur=blur) for blur in FEW_BLURS), key=at)
        if at(best) < 1.5 * SURE:
            break
    return _best(list(seen.values()), ways * _places(light))


def _near(light: Tensor, secret: Tensor, look: Look, share: float) -> Found:
    """The best of the places that the corner of a cut picture can have in the key's tile."""
    seen = look(light)[:, :WIDEST, :WIDEST]
    turned = _turned(seen)  # (8, 8, 10, rows, columns)
    rows, columns = turned.shape[-2:]
    downs, acrosses = (torch.arange(-(-_reach(side) // BLOCK) + 1) for side in seen.shape[-2:])
    row = (downs[:, None] + torch.arange(rows)) % TILE
    column = (acrosses[:, None] + torch.arange(columns)) % TILE
    there = torch.polar(*_unit(-secret))[:, row[:, None, :, None], column[None, :, None, :]]
    there = there.permute(0, 3, 4, 1, 2).reshape(-1, len(downs) * len(acrosses))
    flat = turned.flatten(0, 1).flatten(1)
    sums = (flat.real @ there.real - flat.imag @ there.imag).unflatten(0, (BLOCK, BLOCK))
    counts = flat.real.square().add(flat.imag.square()).sum(1).reshape(BLOCK, BLOCK, 1)
    scores = sums / counts.sqrt().clamp(min=1.0)
    top, left, at = _unravelled(int(scores.argmax()), scores.shape)
    down, across = BLOCK * (at // len(acrosses)) - top, BLOCK * (at % len(acrosses)) - left
    how = ", ".join(filter(None, [str(look), f"cut at ({down}, {across})"]))
    count = round(float(counts[top, left]))
    return Found(float(sums[top, left, at]), torch.ones(count), count, how, share / sums.numel())


def _reach(side: int) -> int:
    """How far in a picture's corner may stand: a third of what is left, and a little before."""
    return side // 3 + BEFORE


def _places(light: Tensor) -> int:
    """How many places `_near` looks at."""
    return math.prod(BLOCK * (-(-_reach(side) // BLOCK) + 1) for side in light.shape[-2:])


def _turned(light: Tensor) -> Tensor:
    """e^(i*phase) of the blocks of every alignment, (8, 8, 10, rows, columns); 0 where none is.

    Alignment (a, b) leaves out a pixels at the top and b at the left.
    """
    turned = torch.polar(*_unit(phases_of(functional.conv2d(light[:, None], wave_forms()))))[0]
    rows, columns = turned.shape[-2:]
    whole = functional.pad(turned, (0, -columns % BLOCK, 0, -rows % BLOCK))
    parts = whole.unflatten(-1, (-1, BLOCK)).unflatten(-3, (-1, BLOCK))
    return parts.permute(2, 4, 0, 1, 3)


def _folded(turned: Tensor) -> Tensor:
    """(…, rows, columns) summed over the key's repeats: (…, 32, 32)."""
    for axis in (-2, -1):
        more = -turned.shape[axis] % TILE
        fill = (0, more) if axis == -1 else (0, 0, 0, more)
        turned = functional.pad(turned, fill).unflatten(axis, (-1, TILE)).sum(axis - 1)
    return turned


def _unravelled(index: int, shape: Sequence[int]) -> tuple[int, ...]:
    places = []
    for size in reversed(shape):
        index, place = divmod(index, size)
        places.append(place)
    return tuple(reversed(places))


def _unit(phases: Tensor) -> tuple[Tensor, Tensor]:
    return torch.ones_like(phases), phases


def _corner(light: Tensor, side: int = WIDEST) -> Tensor:
    return light[:, :side, :side]
