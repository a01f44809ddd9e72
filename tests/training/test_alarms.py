"""Each alarm speaks where its fault is planted, and a clean run stays silent."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.training.alarms import (
    Judged,
    Watch,
    copying,
    fewer_than,
    lost,
    more_than,
    twins,
)

ROWS, MEASURES = 512, 10


def curve(seed, turn=None, strength=0.4, bend=1.0, rows=ROWS):
    """Ten held-out measures of a run: rows of very unequal loss that falls, levels off, and wanders
    by half a percent as trained weights do; from `turn` on it rises by `strength` of itself over
    the rest, at noise levels in the lower half where bend is 0."""
    draw = np.random.default_rng(seed)
    places = torch.from_numpy(draw.uniform(-4, 4, rows))
    base = torch.from_numpy(draw.gamma(0.5, 0.4, rows))
    for number in range(MEASURES):
        level = 1 + 2 * np.exp(-number)
        own = 1 + 0.03 * torch.from_numpy(draw.standard_normal(rows))
        wander = 1 + 0.005 * float(draw.standard_normal())
        rise = 0.0
        if turn is not None and number > turn:
            rise = strength * (number - turn) / (MEASURES - turn)
        grown = 1 + rise * ((places < 0).double() * (1 - bend) + bend)
        training = 0.2 * level - 0.004 * number + 0.002 * float(draw.standard_normal())
        losses = base * own * level * wander * grown
        yield Judged(1000 * (number + 1), losses, places, training)


def told(points):
    watch, lines = Watch(), []
    for now in points:
        watch = watch(now)
        if alarm := watch.alarm(now, "stop, and draw with --weights best (of 5000)"):
            lines.append((now.seen, alarm.line))
    return lines


def test_memorisation_is_told_soon_and_says_what_to_do():
    """Fails where a held-out loss that rises by 40 % is missed in one of twenty runs, is told
    before it turned, or the line lacks the numbers or the way out."""
    for seed in range(20):
        lines = told(curve(seed, turn=4))
        assert lines, seed
        assert 6000 < lines[0][0] <= 10_000
    _, line = told(curve(0, turn=4))[0]
    print(line)
    assert line.startswith("the held-out loss has risen for 3 measures since 5000 samples (")
    assert "→" in line
    assert "±" in line
    assert "stop, and draw with --weights best (of 5000)" in line


def test_a_turn_at_some_noise_levels_is_told():
    """Fails where memorisation at low noise alone, which the mean hides, is missed in more than one
    of ten runs, or blamed on all levels."""
    lines = [told(curve(seed, turn=4, strength=0.3, bend=0.0)) for seed in range(30)]
    assert sum(bool(found) for found in lines) >= 27
    worse = list(curve(0, turn=4, strength=0.5, bend=0.0))
    # the upper half falls by as much: the mean stays level
    mixed = [
        replace(now, losses=torch.where(now.places > 0, now.losses * (1 - 0.06 * n), now.losses))
        for n, now in enumerate(worse)
    ]
    found = told(mixed)
    assert found
    assert "at log(sigma/alpha) -" in found[0][1]


def test_a_clean_run_is_silent():
    """Fails where clean runs raise the alarm of memorisation: 300 without one are below 1 %."""
    assert sum(bool(told(curve(seed, rows=128))) for seed in range(300)) == 0


def test_a_rise_without_a_falling_training_loss_is_no_memorisation():
    """Fails where a run that gets worse everywhere is blamed on memorisation."""
    points = [replace(now, training=0.1 + 0.1 * n) for n, now in enumerate(curve(1, turn=4))]
    assert told(points) == []


def test_a_watch_goes_on_where_it_stopped():
    """Fails where the memory does not survive a checkpoint, or other rows pass for the same."""
    points = list(curve(3, turn=4))
    whole, half = Watch(), Watch()
    for now in points[:7]:
        whole, half = whole(now), half(now)
    again = Watch().restored(half.plain(), half.low.clone())
    for now in points[7:]:
        whole, again = whole(now), again(now)
        one, other = whole.alarm(now), again.alarm(now)
        assert (one and one.line) == (other and other.line)
    bad = replace(points[-1], losses=points[-1].losses * float("nan"))
    assert again(bad) is again
    with pytest.raises(BadInput, match="100 rows"):
        again(Judged(1, torch.ones(100), torch.arange(100.0), 0.1))


def test_the_chances_are_exact():
    """Fails where Fisher's or the binomial tail differ from scipy's."""
    stats = pytest.importorskip("scipy.stats")
    for hits, total, others, of in ((13, 256, 5, 502), (0, 256, 5, 502), (3, 50, 0, 60)):
        table = [[hits, total - hits], [others, of - others]]
        wanted = stats.fisher_exact(table, alternative="greater").pvalue
        assert more_than(hits, total, others, of) == pytest.approx(wanted, rel=1e-8)
        assert fewer_than(hits, total, 0.1) == pytest.approx(stats.binom.cdf(hits, total, 0.1))


def planted(seed, share, samples=256, held=500):
    """Suspects among samples, a share of them copies, and among held-out pictures: the threshold is
    the held-out ones' 1 % quantile, as metrics/copies takes it."""
    draw = np.random.default_rng(seed)
    real = draw.random(held)
    limit = np.quantile(real, 0.01)
    ours = np.where(draw.random(samples) < share, 0.0, draw.random(samples))
    return int((ours <= limit).sum()), samples, int((real <= limit).sum()), held


@pytest.mark.parametrize("alarm", [copying, twins])
def test_copies_are_told_and_chance_is_not(alarm):
    """Fails where 15 % of copies are missed, or clean runs of eight measures alarm in 1 %."""
    assert sum(alarm(*planted(seed, 0.15)) is not None for seed in range(200)) >= 198
    false = sum(alarm(*planted(seed, 0.0)) is not None for seed in range(4000))
    print(f"{alarm.__name__}: {false} of 4000 clean measures")
    assert false <= 4  # 500 runs of eight
    print(alarm(*planted(0, 0.15)).line)


def test_a_lost_class_is_told_once_it_lasts():
    """Fails where a class without samples is missed, told at its first measure, or where a class
    that is only rare, or short by chance, is told."""
    shares = {str(digit): 0.1 for digit in range(10)}
    clean = {str(digit): 28 for digit in range(9)} | {"9": 4}
    alarm, short = lost(clean, shares)
    assert (alarm, short) == (None, ("9",))
    alarm, short = lost(clean, shares, short)
    assert alarm is not None
    assert alarm.line.startswith("class '9' has 4 of 256 samples, its share of the data asks 26:")
    rare = lost({"a": 256}, {"a": 0.99, "b": 0.01}, ("b",))
    assert rare == (None, ())
    draw, false = np.random.default_rng(0), 0
    for _ in range(2000):
        counts = draw.multinomial(256, [0.1] * 10)
        found = lost({str(i): int(n) for i, n in enumerate(counts)}, shares)
        false += bool(found[1])
    print(f"lost: short in {false} of 2000 clean measures")
    assert false <= 2
