"""How a source is to be read: size, channels, fit, background and how much is put up with."""

from dataclasses import asdict, dataclass
from hashlib import sha256

from PIL import ImageColor

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean

__all__ = ["FITS", "PLAIN", "Reading", "checked_size"]

FITS = ("crop", "pad", "stretch")
_SIDE = 4096  # no model here is asked for more, and 16 bits of a mistyped size would fill a disk


@dataclass(frozen=True)
class Reading:
    """What is done to every picture on the way in.

    size: (height, width), or None for the data's own (see unmist.data.fit.default_size).
    channels: 1, 3, or None: 1 where every picture is grey, else 3.
    fit: "crop" fills the size and cuts the rest evenly, "pad" shrinks until all is inside (it never
    enlarges) and fills with the background, "stretch" forgets the proportions.
    background: what shows through transparent pixels and round padded pictures.
    layout: of arrays, "first" (n, c, *s), "last" (n, *s, c), or None to tell from the shape.
    on_bad: "stop" or "skip" when pictures cannot be read.
    pixel_cap: the largest picture decoded, in pixels, taken from its header.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    fit: str = "crop"
    background: str = "white"
    layout: str | None = None
    on_bad: str = "stop"
    pixel_cap: int = 64_000_000

    def __post_init__(self) -> None:
        _one_of("fit", self.fit, FITS)
        _one_of("on_bad", self.on_bad, ("stop", "skip"))
        _one_of("layout", self.layout, ("first", "last", None))
        _one_of("channels", self.channels, (1, 3, None))
        _rgb(self.background)

    @property
    def colour(self) -> tuple[int, int, int]:
        """The background in red, green, blue."""
        return _rgb(self.background)

    @property
    def digest(self) -> str:
        """Names the settings that change decoded pixels; `on_bad` does not."""
        settings = {name: value for name, value in asdict(self).items() if name != "on_bad"}
        return sha256(repr(sorted(settings.items())).encode()).hexdigest()[:16]


def _rgb(name: str) -> tuple[int, int, int]:
    try:
        found = ImageColor.getrgb(name)
    except (ValueError, AttributeError):
        raise BadInput(
            f"no colour called {name!r}", where="background", mend="e.g. white, #ff8800"
        ) from None
    return found[0], found[1], found[2]


def _one_of(name: str, value: object, known: tuple) -> None:
    if value in known:
        return
    words = [str(word) for word in known]
    raise BadInput(f"no choice {value!r}", where=name, mend=did_you_mean(str(value), words))


def checked_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """(height, width) of a side, a pair or nothing; BadInput outside 1 … 4096."""
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if not (1 <= height <= _SIDE and 1 <= width <= _SIDE):
        raise BadInput(
            f"{height}x{width} is outside 1 … {_SIDE}", where="size", mend="give the side in pixels"
        )
    return int(height), int(width)


PLAIN = Reading()  # every setting at its default
