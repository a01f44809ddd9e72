"""Small pictures with two classes, made in no time: bars that stand or lie."""

import numpy as np


def bars(count, seed):
    """uint8 (count, 1, 8, 8) on a noisy ground, and whether each bar lies."""
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 40, (count, 1, 8, 8))
    kind = draw.integers(0, 2, count)
    for row, lying in zip(x[:, 0], kind, strict=True):
        place, thick = draw.integers(0, 6), draw.integers(1, 3)
        part = np.s_[place : place + thick] if lying else np.s_[:, place : place + thick]
        row[part] = draw.integers(120, 256)
    return x.astype(np.uint8), kind
