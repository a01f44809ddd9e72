import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.metrics import copies as room
from unmist.metrics.copies import copies


@pytest.fixture(scope="module")
def digits():
    """Real digits in three parts: train, held-out, and strangers that stand for fresh samples."""
    values = np.asarray(open_data("digits").values)
    order = np.random.default_rng(0).permutation(len(values))
    parts = np.split(values[order], [800, 1200, 1400])[:3]
    return [torch.from_numpy(np.ascontiguousarray(part)) for part in parts]


def _features(pictures):
    """Means of 4x4 cells: any features serve."""
    return torch.nn.functional.avg_pool2d(pictures.float(), 4).flatten(1)


def _judge(samples, train, held, **settings):
    return copies(*((part, _features(part)) for part in (samples, train, held)), **settings)


def _drawn(pictures, count, seed):
    rows = np.random.default_rng(seed).permutation(len(pictures))[:count]
    return rows, pictures[torch.from_numpy(rows)]


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
    assert len(suspects) - right <= 0.05 * len(samples)
    assert len(found.pairs) == len(suspects)
    assert found.pixels == sum(p.seen == "pixels" for p in found.pairs) / len(samples)
    assert found.share.holds(planted / len(samples))


def test_strangers_are_accused_as_rarely_as_held_out_pictures(digits):
    """Fails if the threshold is not the held-out quantile: 200 strangers, four errors."""
    train, held, strangers = digits
    found = _judge(strangers, train, held)
    assert found.held_pixels == pytest.approx(0.01)
    assert found.held_features == pytest.approx(0.01)
    assert found.pixels <= 0.01 + 4 * (0.01 / 200) ** 0.5
    assert found.share.holds(0)


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


@pytest.mark.parametrize("disguise", ["noise", "dimmer", "brighter", "moved", "blurred", "all"])
def test_disguises_are_seen_through(digits, disguise):
    """Fails if a light change hides a copy: of 100 touched training pictures, 95 are suspects, and
    the original is named."""
    train, held, _ = digits
    rows, x = _drawn(train, 100, 5)
    x = x.float()
    if disguise in ("blurred", "all"):
        x = torch.nn.functional.avg_pool2d(x, 3, 1, 1) * 0.5 + x * 0.5
    if disguise in ("moved", "all"):
        x = torch.roll(x, (-1, 1), (2, 3))
    if disguise in ("dimmer", "all"):
        x = x * 0.75
    if disguise == "brighter":
        x = x + 30
    if disguise in ("noise", "all"):
        x = x + torch.from_numpy(np.random.default_rng(6).normal(size=x.shape) * 15)
    found = _judge(x.round().clamp(0, 255).to(torch.uint8), train, held)
    right = sum(pair.original == rows[pair.sample] for pair in found.pairs)
    assert right >= 95


def test_mirrored_copies_are_found_where_training_mirrors(digits):
    """Fails if flips are not compared: mirrored copies are found with them, and few without."""
    train, held, _ = digits
    rows, x = _drawn(train, 60, 7)
    with_flips, without = (_judge(x.flip(-1), train, held, flips=flips) for flips in (True, False))
    named = {pair.sample: pair.original for pair in with_flips.pairs}
    assert sum(named.get(i) == row for i, row in enumerate(rows)) == 60
    assert without.pixels < 0.5


def test_a_picture_that_training_repeats_is_found(digits):
    """Fails if equal training pictures are each other's neighbours: of one that stands there thirty
    times, a copy is as near to all thirty, and the measure would be 1."""
    train, held, strangers = digits
    repeated = torch.cat([train, train[:1].repeat(30, 1, 1, 1)])
    found = _judge(torch.cat([train[:1], strangers]), repeated, held)
    assert (found.pairs[0].sample, found.pairs[0].original) == (0, 0)


def test_five_percent_are_held(digits):
    """Fails if the interval forgets an error, of the samples or of the calibration, or is so wide
    that it says nothing: over 40 draws of strangers, held-out pictures and copies among them."""
    values = torch.from_numpy(np.asarray(open_data("digits").values)).float()
    values = torch.nn.functional.avg_pool2d(values, 2).to(torch.uint8)
    shares = []
    for draw in range(40):
        random = np.random.default_rng((8, draw))
        order = torch.from_numpy(random.permutation(len(values)))
        train, held, strangers = values[order[:1300]].split([600, 300, 400])
        copied = torch.from_numpy(random.random(400) < 0.05)
        strangers[copied] = train[torch.from_numpy(random.integers(600, size=int(copied.sum())))]
        shares.append(_judge(strangers, train, held, shift=0).share)
    assert np.mean([share.holds(0.05) for share in shares]) >= 0.9
    assert np.mean([share.high - share.low for share in shares]) < 0.07
    assert np.mean([share.holds(0) for share in shares]) < 0.1


@pytest.mark.parametrize("count", [10, 100, 500, 5000])
@pytest.mark.parametrize("usual", [0, 5, 20])
def test_no_suspects_are_no_proof(count, usual):
    """Fails if no suspect among n finite samples reads as surely no copies: the upper limit is at
    least the rule of three's, and falls as 1/n, also where held-out pictures give more suspects."""
    held = torch.arange(500) < usual
    share = room._excess(torch.zeros(count, dtype=torch.bool), held, 1000)
    assert (share.value, share.low) == (0, 0)
    assert 3 / (count + 3) < share.high < max(13 / count, 0.025)


@pytest.mark.parametrize("truth", [0.0, 0.004, 0.02, 0.1])
def test_the_limits_hold(truth):
    """Fails if the interval of simulated suspects holds the truth in less than 95 of 100 draws less
    three errors, or its upper limit alone in less than 97.5: few suspects included."""
    random, draws = np.random.default_rng(11), 1000
    shares = []
    for _ in range(draws):
        usual = random.random(400) < 0.015
        found = (random.random(300) < truth) | (random.random(300) < 0.015)
        shares.append(room._excess(torch.from_numpy(found), torch.from_numpy(usual), 1000))
    assert np.mean([share.holds(truth) for share in shares]) >= 0.95 - 0.021
    assert np.mean([share.high >= truth for share in shares]) >= 0.975 - 0.015
    assert min(share.high for share in shares) > 0


def test_memory_is_bounded(digits, monkeypatch):
    """Fails if a block's edge loses a row: tiny blocks give the same pairs."""
    train, held, strangers = digits
    samples = torch.cat([strangers[:30], train[3:6]])
    whole = _judge(samples, train, held[:100])
    monkeypatch.setattr(room, "BLOCK", 1 << 14)
    parts = _judge(samples, train, held[:100])
    assert [(p.sample, p.original) for p in parts.pairs] == [
        (p.sample, p.original) for p in whole.pairs
    ]
    assert parts.share.value == whole.share.value


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
    with pytest.raises(BadInput, match="20 different training pictures"):
        _judge(strangers, train[:20], held)
    with pytest.raises(BadInput, match="level 2"):
        _judge(strangers, train, held, level=2)
