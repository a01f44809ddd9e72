"""Which words of a caption hold in a picture of shapes, told by program.

Colours by the direction of a pixel's distance from white, which blending with white keeps; things
by connected components; shapes by their overlap with the drawings of all shapes at the component's
own centroid and area. Things of less than six pixels do not count.
"""

from dataclasses import dataclass

import numpy as np

from unmist.data.shapes import COLOURS, NUMBERS, PLACES, SHAPES, SIDE, coverage, parsed

__all__ = ["Thing", "components", "holds", "judge", "things"]

LEAST = 6.0  # pixels covered
OVERLAP = 0.72  # of a drawing with a component, for it to be that shape at all
DEEP = 0.55  # of a colour's distance from white: paler than that is no colour of ours
NEAR = 4.0  # pixels from the middle of the picture that are still the middle


@dataclass(frozen=True)
class Thing:
    """One component: colour and shape by name ("" where it is none), its centre from the middle."""

    colour: str
    shape: str
    x: float
    y: float
    area: float


def judge(picture: np.ndarray, caption: str) -> dict[str, bool]:
    """Word -> whether it holds in a picture uint8 (3, 32, 32); the number holds of all things.

    Raises BadInput where the caption is not one of `shapes`.
    """
    scene, seen = parsed(caption), things(picture)
    number = NUMBERS[scene.number - 1]
    return {
        number: len(seen) == scene.number,
        scene.colour: bool(seen) and all(thing.colour == scene.colour for thing in seen),
        scene.shape: bool(seen) and all(thing.shape == scene.shape for thing in seen),
        scene.place: bool(seen) and placed(seen) == scene.place,
    }


def holds(picture: np.ndarray, caption: str) -> bool:
    """Whether every word of the caption holds."""
    return all(judge(picture, caption).values())


def placed(seen: list[Thing]) -> str:
    """Where the mean of the centres lies: the middle, or the side that it is furthest towards."""
    x, y = (float(np.mean([getattr(thing, axis) for thing in seen])) for axis in "xy")
    if max(abs(x), abs(y)) < NEAR:
        return "middle"
    return max(PLACES, key=lambda name: PLACES[name][1][0] * x + PLACES[name][1][1] * y)


def things(picture: np.ndarray) -> list[Thing]:
    """What a picture uint8 (3, 32, 32) shows, in reading order."""
    away = 255.0 - picture.astype(np.float64)
    strength = np.linalg.norm(away, axis=0)
    if strength.max() < 60:
        return []
    marks = components(strength > 0.45 * np.percentile(strength[strength > 60], 80))
    seen = [_thing(away, strength, marks == k) for k in range(1, marks.max() + 1)]
    return [thing for thing in seen if thing.area >= LEAST]


def components(mask: np.ndarray) -> np.ndarray:
    """Numbers from 1 for the connected parts (by sides) of a mask (h, w), 0 elsewhere.

    Every place takes the least number among its neighbours until nothing changes.
    """
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    far = mask.size + 1
    while True:
        padded = np.pad(np.where(mask, numbers, far), 1, constant_values=far)
        around = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        least = np.where(mask, np.minimum.reduce([numbers, *around]), 0)
        if np.array_equal(least, numbers):
            return np.unique(numbers, return_inverse=True)[1].reshape(mask.shape) + (mask.all())
        numbers = least


def _thing(away: np.ndarray, strength: np.ndarray, core: np.ndarray) -> Thing:
    """One component from its core: its soft cover is taken one pixel around it too."""
    mean = away[:, core].mean(1)
    top = np.percentile(strength[core], 75)
    share = np.clip(strength / top, 0, 1) * _wider(core)
    area = float(share.sum())
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    centre = float((share * x).sum() / area), float((share * y).sum() / area)
    return Thing(
        colour=_colour(away, core, mean),
        shape=_shape(share, x - centre[0], y - centre[1], area),
        x=centre[0] - SIDE / 2,
        y=centre[1] - SIDE / 2,
        area=area,
    )


def _wider(core: np.ndarray) -> np.ndarray:
    padded = np.pad(core, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:]


_INKS = 255.0 - np.array(list(COLOURS.values()))


def _colour(away: np.ndarray, core: np.ndarray, mean: np.ndarray) -> str:
    """The nearest colour by direction, if nine tenths of the core agree and it is deep enough."""
    unit = _INKS / np.linalg.norm(_INKS, axis=1, keepdims=True)
    found = (unit @ mean).argmax()
    agree = ((unit @ away[:, core]).argmax(0) == found).mean()
    deep = np.linalg.norm(mean) > DEEP * np.linalg.norm(_INKS[found])
    return list(COLOURS)[int(found)] if agree >= 0.9 and deep else ""


def _shape(share: np.ndarray, x: np.ndarray, y: np.ndarray, area: float) -> str:
    """The shape whose drawing of this area overlaps most, as share of both together."""
    overlaps = {name: max(_overlap(share, name, x, y, area)) for name in SHAPES}
    best = max(overlaps, key=lambda name: overlaps[name])
    return best if overlaps[best] >= OVERLAP else ""


def _overlap(
    share: np.ndarray, name: str, x: np.ndarray, y: np.ndarray, area: float
) -> list[float]:
    found = []
    for scale in (0.94, 1.0, 1.06):
        drawing = coverage(name, x, y, scale * np.sqrt(area / AREAS[name]))
        found.append(float(np.minimum(share, drawing).sum() / np.maximum(share, drawing).sum()))
    return found


def _areas() -> dict[str, float]:
    """Each shape's area at radius 1, counted at radius 200."""
    y, x = np.mgrid[-300:301, -300:301].astype(np.float64)
    return {name: float(coverage(name, x, y, 200.0).sum() / 200.0**2) for name in SHAPES}


AREAS = _areas()
