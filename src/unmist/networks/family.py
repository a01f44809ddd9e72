"""The family of networks: frozen settings that build an `nn.Module`."""

from typing import Protocol

from torch import nn

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds
from unmist.core.condition import Signals, Sockets

__all__ = ["Network", "check_shape", "check_signals", "networks", "refuse_unless"]


class Network(Protocol):
    """Settings of an architecture; the module they build holds the weights.

    The module maps (x (b, c, *s), clock (b,), Signals) to (b, out, *s), s one to three axes of any
    size, and knows no schedule: the clock is a bounded number, about -10 … 10; (b, 1, frames), one
    a frame, where sockets.frames is 1.
    """

    def build(
        self, shape: tuple[int, ...], sockets: Sockets, seed: int = 0, *, answers: int = 1
    ) -> nn.Module:
        """A network for samples of shape (c, *s) that answers answers*c channels.

        Equal seeds give equal weights.
        """
        ...


networks: Kinds[Network] = Kinds("network")


def refuse_unless(right: bool, what: str, mend: str) -> None:
    """BadInput at a setting of a network."""
    if not right:
        raise BadInput(what, where="network", mend=mend)


def check_shape(shape: tuple[int, ...]) -> None:
    """BadInput unless shape is (channels, *sizes) with one to three sizes."""
    right = 2 <= len(shape) <= 4 and min(shape) >= 1
    refuse_unless(right, f"a sample of shape {shape}", "give (channels, *sizes), 1 to 3 sizes")


def check_signals(sockets: Sockets, signals: Signals) -> None:
    """What is plugged in must be what was built for: a signal is never ignored in silence."""
    for name, width, value in zip(Signals._fields, sockets[: len(signals)], signals, strict=True):
        assert (width > 0) == (value is not None), f"socket {name} has width {width}, got {value}"
