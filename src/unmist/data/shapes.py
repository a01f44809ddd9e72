"""Captioned shapes made by program: colour x shape x place x number, every caption checkable.

450 combinations, of which `held_out` keeps 87 out of the set altogether: some pairs of a colour and
a shape that never meet, and a ninth of the other combinations. `data/shapes_judge.py` says which
words of a caption hold in a picture.
"""

import re
from dataclasses import dataclass
from itertools import product

import numpy as np

from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.data.dataset import Rows

__all__ = [
    "COLOURS",
    "NUMBERS",
    "PLACES",
    "SHAPES",
    "SIDE",
    "Scene",
    "caption",
    "combinations",
    "coverage",
    "drawn",
    "held_out",
    "never_met",
    "parsed",
    "shapes",
]

SIDE = 32
COLOURS = {
    "red": (222, 30, 42),
    "yellow": (246, 206, 12),
    "green": (38, 164, 66),
    "blue": (40, 92, 226),
    "purple": (150, 48, 200),
    "black": (24, 24, 26),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
PLACES = {
    "left": ("on the left", (-1, 0)),
    "right": ("on the right", (1, 0)),
    "top": ("at the top", (0, -1)),
    "bottom": ("at the bottom", (0, 1)),
    "middle": ("in the middle", (0, 0)),
}
NUMBERS = ("one", "two", "three")
NEVER = (("red", "triangle"), ("green", "cross"), ("blue", "ring"))
RADII = ((5.0, 7.0), (4.0, 5.2), (3.3, 4.0))
PHRASES = (
    "{number} {colour} {shape} {place}",
    "{place}, {number} {colour} {shape}",
    "{number} {shape} {place}, {colour}",
)
_REACH = 1.2  # of a radius: the tip of a triangle
_Y, _X = np.mgrid[:SIDE, :SIDE] + 0.5


@dataclass(frozen=True)
class Scene:
    """What a caption says: words of COLOURS, SHAPES and PLACES, and how many, 1 to 3."""

    number: int
    colour: str
    shape: str
    place: str


def combinations() -> tuple[Scene, ...]:
    """All 450, in order."""
    numbers = range(1, len(NUMBERS) + 1)
    return tuple(Scene(*words) for words in product(numbers, COLOURS, SHAPES, PLACES))


def never_met(scene: Scene) -> bool:
    """Whether the set holds its colour and its shape, but never together."""
    return (scene.colour, scene.shape) in NEVER


def held_out(scene: "Scene | str") -> bool:
    """Whether the set lacks a combination, or a caption's.

    Kept out are the three pairs of NEVER, and where the ordinals of the four words, each from 0,
    add up to a multiple of nine when colours count double.
    """
    scene = parsed(scene) if isinstance(scene, str) else scene
    ordinals = (
        2 * list(COLOURS).index(scene.colour),
        SHAPES.index(scene.shape),
        list(PLACES).index(scene.place),
        scene.number - 1,
    )
    return never_met(scene) or sum(ordinals) % 9 == 0


def caption(scene: Scene, phrase: int = 0, article: bool = False) -> str:
    """A scene in words by one of PHRASES; with `article`, "a" for "one"."""
    number = "a" if article and scene.number == 1 else NUMBERS[scene.number - 1]
    ending = {"cross": "es"}.get(scene.shape, "s") if scene.number > 1 else ""
    return PHRASES[phrase].format(
        number=number,
        colour=scene.colour,
        shape=scene.shape + ending,
        place=PLACES[scene.place][0],
    )


def parsed(text: str) -> Scene:
    """The scene of a caption. Raises BadInput where a word is missing, doubled or unknown."""
    words = re.findall(r"[a-z]+", text.lower())
    singular = {**{s: s for s in SHAPES}, **{s + "s": s for s in SHAPES}, "crosses": "cross"}
    numbers = {"a": 1, **{name: i + 1 for i, name in enumerate(NUMBERS)}}
    tables = (numbers, {c: c for c in COLOURS}, singular, {p: p for p in PLACES})
    found = [[table[word] for word in words if word in table] for table in tables]
    known = {word for table in tables for word in table} | {"on", "at", "in", "the"}
    strange = [word for word in words if word not in known]
    if strange or any(len(hits) != 1 for hits in found):
        what = f"unknown word '{strange[0][:20]}'" if strange else "needs each kind of word once"
        mend = f"as in: {caption(Scene(2, 'red', 'circle', 'left'))}"
        raise BadInput(what, where="caption", mend=mend)
    number, colour, shape, place = (hits[0] for hits in found)
    return Scene(int(number), str(colour), str(shape), str(place))


def coverage(shape: str, x: np.ndarray, y: np.ndarray, radius: float) -> np.ndarray:
    """How much of each pixel a shape covers, 0 to 1; x, y from its centroid, y downwards.

    One minus the signed distance to the edge, cut: exact on straight sides, close on round ones.
    """
    match shape:
        case "circle":
            distance = np.hypot(x, y) - radius
        case "square":
            distance = np.maximum(abs(x), abs(y)) - 0.88 * radius
        case "triangle":
            slope = 0.5 * np.sqrt(3) * abs(x) - 0.5 * y
            distance = np.maximum(slope, y) - 0.5 * _REACH * radius
        case "cross":
            wide, thin = radius, 0.34 * radius
            lying = np.maximum(abs(x) - wide, abs(y) - thin)
            distance = np.minimum(lying, np.maximum(abs(x) - thin, abs(y) - wide))
        case _:
            distance = abs(np.hypot(x, y) - 0.75 * radius) - 0.25 * radius
    return np.clip(0.5 - distance, 0, 1)


def drawn(scene: Scene, seed: int, which: int) -> np.ndarray:
    """A picture of a scene, uint8 (3, 32, 32) on white: sizes, places, colours a little varied."""
    draw = keyed(seed, "shapes", which)
    radius, centres = _layout(scene, draw)
    ground = np.full((3, SIDE, SIDE), 255.0)
    ink = np.clip(np.array(COLOURS[scene.colour]) + draw.uniform(-10, 10, 3), 0, 255)
    for centre in centres:
        own = radius * draw.uniform(0.92, 1.0)
        share = coverage(scene.shape, _X - centre[0], _Y - centre[1], own)
        ground += share * (ink[:, None, None] - ground)
    return np.rint(ground).astype(np.uint8)


def _layout(scene: Scene, draw: np.random.Generator) -> tuple[float, np.ndarray]:
    """A radius and the centres (number, 2): apart, inside, their mean where the place says."""
    low, high = RADII[scene.number - 1]
    toward, apart = np.array(PLACES[scene.place][1]), 2.5 if scene.shape == "square" else 2.15
    tries = 8 * scene.number**2
    for attempt in range(100):
        radius = low + (high - low) * draw.uniform() * max(0, 1 - attempt / 20)
        edge = SIDE / 2 - _REACH * radius - 0.5
        off = draw.uniform(-edge, edge, (tries, scene.number, 2))
        mean = draw.uniform(-1, 1, (tries, 1, 2)) * (2.5 if not toward.any() else 3.0)
        mean = np.where(toward == 0, mean, toward * draw.uniform(5.5, 9.0, (tries, 1, 1)))
        off += mean - off.mean(1, keepdims=True)
        steps = off[:, :, None] - off[:, None]
        gaps = np.hypot(steps[..., 0], steps[..., 1]) + 1e3 * np.eye(scene.number)
        right = (gaps.min((1, 2)) > apart * radius + 1.5) & (np.abs(off).max((1, 2)) < edge)
        if right.any():
            return radius, off[right.argmax()] + SIDE / 2
    raise AssertionError(f"no room for {scene}")


def shapes(count: int = 4356, seed: int = 0) -> Rows:
    """`count` pictures of combinations in turn, each in a drawn order and phrasing."""
    kept = [scene for scene in combinations() if not held_out(scene)]
    draw = keyed(seed, "shapes in words")
    turns = -(-count // len(kept))
    order = np.concatenate([draw.permutation(len(kept)) for _ in range(turns)])[:count]
    scenes = [kept[i] for i in order]
    phrases = draw.integers(len(PHRASES), size=count), draw.integers(2, size=count)
    texts = [caption(s, p, a == 1) for s, p, a in zip(scenes, *phrases, strict=True)]
    return Rows(
        name="shapes",
        values=np.stack([drawn(scene, seed, i) for i, scene in enumerate(scenes)]),
        labels=np.array([SHAPES.index(scene.shape) for scene in scenes]),
        classes=SHAPES,
        captions=tuple(texts),
        sources=tuple(f"shapes/{i}" for i in range(count)),
        licence="made by program, CC0",
    )
