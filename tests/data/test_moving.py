import re
from dataclasses import replace

import numpy as np
import pytest

from unmist.data.builtin import built_in
from unmist.data.dataset import assemble
from unmist.data.moving import DIRECTIONS, SCALE, SIDE, moving


@pytest.fixture(scope="module")
def clips():
    return moving(built_in("digits"), count=400)


def centres(values):
    """Of mass, (n, frames, 2), y before x."""
    ink = values[:, 0].astype(np.float64)
    places = np.arange(SIDE)
    total = ink.sum((2, 3))
    return np.stack([(ink.sum(3 - axis) * places).sum(2) / total for axis in (0, 1)], 2)


def test_clips_are_the_real_digits_in_straight_motion(clips):
    """Fails if ink is lost at an edge, a digit jumps or changes, or words and motion part ways."""
    digits = built_in("digits")
    assert clips.values.shape == (400, 1, 16, SIDE, SIDE)
    source = [int(re.search(r"digits\[(\d+)\]", name)[1]) for name in clips.sources]
    assert np.array_equal(clips.labels, digits.labels[source])
    ink = digits.values[source].sum((1, 2, 3), dtype=np.float64)
    shown = clips.values.sum((1, 3, 4), dtype=np.float64)
    assert np.abs(shown / (SCALE**2 * ink[:, None]) - 1).max() < 0.02
    path = centres(clips.values)
    bends = np.abs(np.diff(path, 2, axis=1)).max(2)
    assert np.median(bends) < 0.02  # straight on between two turns
    steps = np.hypot(*np.diff(path, axis=1).transpose(2, 0, 1))
    assert np.percentile(steps, 20) > 0.9
    assert steps.max() < 2.5
    words = [caption.partition(" moving ")[2] for caption in clips.captions]
    assert set(words) == set(DIRECTIONS)
    first = path[:, 1] - path[:, 0]
    for word, step, bend in zip(words, first, bends, strict=True):
        if bend[:2].max() < 0.05:  # no turn at once
            lean = {"right": step[1], "left": -step[1], "down": step[0], "up": -step[0]}
            assert all(lean[part] > 0.3 for part in word.split(" and ")), (word, step)


def test_the_same_seed_gives_the_same_clips_and_no_digit_is_on_both_sides(clips):
    """Fails if a draw depends on the count or the day, or clips of one digit are split."""
    digits = built_in("digits")
    assert np.array_equal(moving(digits, count=400).values, clips.values)
    assert not np.array_equal(moving(digits, count=5, seed=1).values, clips.values[:5])
    few = np.arange(40)
    small = replace(digits, values=digits.values[few], labels=digits.labels[few])
    data = assemble(moving(small, count=120))
    assert data.time
    source = np.array([int(re.search(r"digits\[(\d+)\]", name)[1]) for name in data.sources])
    assert len(np.unique(source)) == 40
    assert len(data.held)
    assert not set(source[data.train]) & set(source[data.held])
