import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.metrics.copies import copies


@pytest.fixture(scope="module")
def digits():
    """Real digits in three parts: train, held-out, and strangers that stand for fresh samples."""
    values = np.asarray(open_data("digits").values)
    order = np.random.default_rng(0).permutation(len(values))
    parts = np.split(values[order], [1500, 1900, 2100])[:3]
    return [torch.from_numpy(np.ascontiguousarray(part)) for part in parts]


def _features(pictures):
    """Means of 4x4 cells: any features serve."""
    return torch.nn.functional.avg_pool2d(pictures.float(), 4).flatten(1)


def _judge(samples, train, held, **settings):
    return copies(*((part, _features(part)) for part in (samples, train, held)), **settings)


def _touched(pictures, seed):
    """Copies as models make them: a pixel off, a little dimmer, a little noise."""
    draw = np.random.default_rng(seed)
    moved = torch.roll(pictures, (1, 0), (2, 3)).numpy() * 0.9
    noisy = moved + draw.normal(size=moved.shape) * 12
    return torch.from_numpy(noisy.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("planted", [10, 40])
def test_planted_copies_are_found(digits, planted):
    """Fails if 5 % or 20 % of touched-up copies are missed, or strangers accused."""
    train, held, strangers = digits
    rows = np.random.default_rng(1).permutation(len(train))[:planted]
    samples = torch.cat([_touched(train[rows], 2), strangers[planted:]])
    found = _judge(samples, train, held)
    suspects = {pair.sample: pair.original for pair in found.pairs}
    right = sum(suspects.get(i) == row for i, row in enumerate(rows))
    assert right >= 0.95 * planted
    assert len(suspects) - right <= 0.04 * len(samples)
    assert found.pixels == len(suspects) / len(samples)


def test_strangers_are_accused_as_rarely_as_held_out_pictures(digits):
    """Fails if the threshold is not the held-out quantile: 200 strangers, four errors."""
    train, held, strangers = digits
    found = _judge(strangers, train, held)
    assert found.held_pixels == pytest.approx(0.01)
    assert found.held_features == pytest.approx(0.01)
    assert found.pixels <= 0.01 + 4 * (0.01 / 200) ** 0.5


def test_exact_copies_have_ratio_zero(digits):
    """Fails if distances by products leave rounding: nearest first, each with its original."""
    train, held, strangers = digits
    found = _judge(torch.cat([strangers[:5], train[[7, 3]]]), train, held)
    assert {(p.sample, p.original) for p in found.pairs[:2]} == {(5, 7), (6, 3)}
    assert max(p.ratio for p in found.pairs[:2]) < 1e-2


def test_a_shift_is_no_disguise(digits):
    """Fails if only pictures in place are compared: without shifts fewer are found."""
    train, held, _ = digits
    moved = torch.roll(train[:60], (1, -1), (2, 3))
    with_shift, without = _judge(moved, train, held), _judge(moved, train, held, shift=0)
    assert with_shift.pixels == 1
    # a few come to touch the border, which is repeated when they are shifted back
    assert sum(pair.ratio < 0.05 for pair in with_shift.pairs) > 0.8 * len(moved)
    assert without.pixels < with_shift.pixels


@pytest.mark.parametrize("shape", [(2, 40), (1, 6, 7, 5), (3, 48, 40)])
def test_any_number_of_axes(shape):
    """Fails if shifts or shrinking are written for pictures only: planted copies of volumes,
    series and large pictures are found, in noise where nothing else is near."""
    draw = np.random.default_rng(4)
    coarse = draw.integers(0, 256, (240, shape[0], *[-(-n // 4) for n in shape[1:]]))
    for axis, n in enumerate(shape[1:], 2):
        coarse = coarse.repeat(4, axis).take(range(n), axis)
    values = torch.from_numpy(coarse.astype(np.uint8))
    train, held = values[:120], values[120:]
    moved = torch.roll(train[:10], 1, 2)
    found = copies(*((part, part.flatten(1).float()) for part in (moved, train, held)), level=0.01)
    assert [p.original for p in sorted(found.pairs, key=lambda p: p.sample)] == list(range(10))


def test_too_few_pictures_are_refused(digits):
    """Fails if a quantile is read from fewer pictures than it needs."""
    train, held, strangers = digits
    with pytest.raises(BadInput, match="99 held-out pictures"):
        _judge(strangers, train, held[:99])
    with pytest.raises(BadInput, match="20 training pictures"):
        _judge(strangers, train[:20], held)
    with pytest.raises(BadInput, match="level 2"):
        _judge(strangers, train, held, level=2)
