"""Averages of any width from stored ones, against averages that were really followed."""

import math

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.training.ema import Average, Snapshots, Tracks
from unmist.training.posthoc import Profile, combined, mixed, product

STEPS = 2000
WIDTHS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.12)


def wandering(steps=STEPS, size=64):
    """A trajectory of weights (steps, size): a drift to a goal and the noise of training."""
    draw = np.random.default_rng(0)
    pull = 0.5 * (1 + np.cos(np.pi * np.linspace(0, 1, steps)))[:, None]
    goal = (1 - np.exp(-5 * np.linspace(0, 1, steps)))[:, None] * draw.standard_normal(size)
    return goal + 0.3 * pull * draw.standard_normal((steps, size))


def followed(values, width):
    """The average after each step, by the update's own formula, float64."""
    average, gamma, all_of_them = np.zeros(values.shape[1]), Average(width).gamma, []
    for step, value in enumerate(values, start=1):
        keep = (1 - 1 / step) ** (gamma + 1)
        average = keep * average + (1 - keep) * value
        all_of_them.append(average)
    return np.array(all_of_them)


@pytest.fixture(scope="module")
def kept():
    """Stored profiles of widths 0.05 and 0.1 at the default's five points, with their weights."""
    values = wandering()
    tracks = {width: followed(values, width) for width in WIDTHS}
    times = Snapshots().times(STEPS, 1)
    stored = [(Profile(t, w), tracks[w][t - 1]) for t in times for w in (0.05, 0.1)]
    return tracks, [profile for profile, _ in stored], [weights for _, weights in stored]


def rebuilt(kept, width):
    _, profiles, weights = kept
    mix = mixed(profiles, Profile(STEPS, width))
    parts = [{"w": torch.from_numpy(part)} for part in weights]
    return combined(parts, mix.shares)["w"].numpy(), mix


@pytest.mark.parametrize("width", WIDTHS)
def test_a_width_not_stored_is_rebuilt(kept, width):
    """Fails where the mix is not the average of that width: it must lie far nearer to it than the
    stored ones do, and within 0.15 % of the weights."""
    true = kept[0][width][-1]
    got, mix = rebuilt(kept, width)
    error = np.linalg.norm(got - true)
    print(f"{width}: {error / np.linalg.norm(true):.5f} of its norm, profile {mix.error:.3f}")
    assert error < 0.0015 * np.linalg.norm(true)
    nearest = min(np.linalg.norm(kept[0][w][-1] - true) for w in (0.05, 0.1))
    assert error < 0.35 * nearest or width in (0.05, 0.1)


def test_a_stored_width_comes_back_to_the_bit(kept):
    """Fails where a stored average is mixed with others or rounded."""
    for width in (0.05, 0.1):
        got, mix = rebuilt(kept, width)
        assert np.array_equal(got, kept[0][width][-1])
        assert mix.error == 0.0
        assert sorted(mix.shares)[-2:] == [0.0, 1.0]


def test_products_are_the_integrals():
    """Fails where the closed form is not the integral of the two profiles."""
    tau = (np.arange(200_000) + 0.5) / 200_000
    for one, other in (((1, 0.05), (1, 0.1)), ((0.6, 0.05), (1, 0.1)), ((1, 0.2), (0.3, 0.02))):
        curves = []
        for end, width in (one, other):
            gamma = Average(width).gamma
            inside = np.where(tau <= end, (tau / end) ** gamma, 0.0)
            curves.append((gamma + 1) / end * inside)
        wanted = (curves[0] * curves[1]).mean()
        assert product(Profile(*one), Profile(*other)) == pytest.approx(wanted, rel=1e-4)
        assert product(Profile(*other), Profile(*one)) == product(Profile(*one), Profile(*other))


def test_the_paper_s_own_solution():
    """Fails where `whole=False` is not algorithm 3 of 2312.02696, or `whole` does not sum to 1."""
    profiles = [Profile(t, w) for t in (400, 700, 1000) for w in (0.05, 0.1)]
    wanted = Profile(1000, 0.03)

    def p_dot_p(t_a, gamma_a, t_b, gamma_b):
        exponent = gamma_b if t_a < t_b else -gamma_a
        top = (gamma_a + 1) * (gamma_b + 1) * (t_a / t_b) ** exponent
        return top / ((gamma_a + gamma_b + 1) * max(t_a, t_b))

    def row(p, others):
        return [p_dot_p(p.end, p.gamma, q.end, q.gamma) for q in others]

    a, b = np.array([row(p, profiles) for p in profiles]), np.array([row(wanted, profiles)]).T
    x = np.linalg.solve(a, b)[:, 0]
    assert mixed(profiles, wanted, whole=False).shares == pytest.approx(x, rel=1e-6)
    assert sum(mixed(profiles, wanted).shares) == pytest.approx(1.0, abs=1e-9)
    free, whole = mixed(profiles, wanted, whole=False).error, mixed(profiles, wanted).error
    assert free <= whole < free + 0.01


def test_the_error_of_the_profile_is_told():
    """Fails where a width that the stored ones cannot give looks as good as one they can."""
    times = Snapshots().times(STEPS, 1)
    profiles = [Profile(t, w) for t in times for w in (0.05, 0.1)]
    errors = {w: mixed(profiles, Profile(STEPS, w)).error for w in (0.005, 0.02, 0.04, 0.12, 0.25)}
    print(errors)
    assert errors[0.04] < 0.02
    assert errors[0.02] < 0.08
    assert errors[0.005] > 0.4
    assert errors[0.25] > 0.2


def test_points_are_whole_batches_and_end_with_the_run():
    """Fails where the last point is missed, so that the last average could not be made."""
    assert Snapshots().times(1000, 10) == (100, 360, 640, 840, 960, 1000)
    assert Snapshots(points=8).times(16, 8) == (8, 16)
    assert Snapshots(points=0).times(1000, 10) == ()
    for bad in ({"points": -1}, {"widths": (0.05, 0.05)}, {"widths": (0.5,)}):
        with pytest.raises(BadInput):
            Snapshots(**bad)


def test_tracks_follow_their_widths():
    """Fails where an average beside the main one is not that of its width, or is kept twice."""
    net = torch.nn.Linear(3, 2)
    tracks = Tracks.start(Snapshots(), Average(0.05), net)
    assert list(tracks.nets) == [0.1]
    alone = Average(0.1).start(net)
    for step in range(1, 9):
        with torch.no_grad():
            net.weight.fill_(math.sin(step))
        tracks.update(net, step)
        Average(0.1).update(alone, net, step)
    assert torch.equal(tracks.tensors()["ema_w0_1"]["weight"], alone.weight)
    assert Tracks.start(Snapshots(points=0), Average(0.05), net).nets == {}
