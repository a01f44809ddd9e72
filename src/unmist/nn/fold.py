"""Pixels into channels and back, for one to three axes of any size."""

from itertools import chain

from torch import Tensor
from torch.nn.functional import pad

__all__ = ["crop", "fold", "margins", "unfold"]


def margins(sizes: tuple[int, ...], multiple: int) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each axis that make it a multiple; shared between both sides."""
    missing = [-n % multiple for n in sizes]
    return tuple((m // 2, m - m // 2) for m in missing)


def fold(x: Tensor, size: int) -> Tensor:
    """(b, c, *s) -> (b, c*size^n, *ceil(s/size)): each block of pixels becomes channels.

    Axes that do not divide are padded with zeros on both sides; `crop(unfold(…))` undoes it.
    """
    edges = margins(tuple(x.shape[2:]), size)
    if any(chain(*edges)):
        x = pad(x, tuple(chain(*reversed(edges))))
    axes = x.ndim - 2
    blocks = x.reshape(*x.shape[:2], *chain(*((n // size, size) for n in x.shape[2:])))
    outer, inner = range(2, 2 + 2 * axes, 2), range(3, 3 + 2 * axes, 2)
    return blocks.permute(0, 1, *inner, *outer).flatten(1, 1 + axes)


def unfold(x: Tensor, size: int) -> Tensor:
    """(b, c*size^n, *s) -> (b, c, *(s*size)): the inverse of `fold` where it padded nothing."""
    axes = x.ndim - 2
    blocks = x.unflatten(1, (-1, *[size] * axes))
    pairs = chain(*((2 + axes + k, 2 + k) for k in range(axes)))
    return blocks.permute(0, 1, *pairs).reshape(
        len(x), blocks.shape[1], *(n * size for n in x.shape[2:])
    )


def crop(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The middle of x (b, c, *s) with the given sizes: takes off what `fold` had put around."""
    for axis, n in enumerate(sizes, 2):
        if x.shape[axis] != n:
            x = x.narrow(axis, (x.shape[axis] - n) // 2, n)
    return x
