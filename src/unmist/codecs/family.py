"""The family of codecs: how rows of uint8 become what a network sees, and back."""

from typing import Protocol

from torch import Tensor

from unmist.base.kinds import Kinds

__all__ = ["Codec", "codecs"]


class Codec(Protocol):
    """Settings that encode and decode; those with weights hold the module once it was opened."""

    def inner(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape (k, *s') in model space of a sample (c, *s). BadInput where it takes none."""
        ...

    def encode(self, values: Tensor) -> Tensor:
        """uint8 (b, c, *s) -> float32 (b, k, *s'), mean 0 and spread 1 over the training rows."""
        ...

    def decode(self, x: Tensor, sizes: tuple[int, ...] | None = None) -> Tensor:
        """float (b, k, *s') -> uint8 (b, c, *s); NaN and infinities are refused.

        sizes: s, where several have the same s'; None for those of the training rows.
        """
        ...


codecs: Kinds[Codec] = Kinds("codec")
