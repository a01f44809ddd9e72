"""Rolling on, against frames whose law and every denoiser are known: a Gauss-Markov process."""

import pytest
import torch

from unmist.base.noise import Noise
from unmist.core.default import default_spacing
from unmist.core.level import Level, lift
from unmist.core.schedules import Exploding
from unmist.core.solver import Euler
from unmist.core.walk import started, walk
from unmist.editing.rolling import Windowed, rolled

RHO, WINDOW, OVERLAP, KNOWN, FRAMES = 0.8, 8, 3, 3, 20
ROWS = 4000
LEVELS = default_spacing()(Exploding(0.01), 60)


def law(frames):
    """The covariance of frames, rho^|i - j|."""
    at = torch.arange(frames).double()
    return RHO ** (at[:, None] - at[None]).abs()


def exact(x, here, cond=None, *, there=None):
    """E[x0 | x] of a window (b, 1, frames, 1), each frame at its own level."""
    a, s = (part.flatten() for part in (here.alpha, here.sigma.clamp(min=1e-6)))
    prior = law(x.shape[2])
    seen = a[:, None] * prior * a[None] + torch.diag(s**2)
    gain = prior * a[None] @ torch.linalg.inv(seen)
    return (x[:, 0, :, 0] @ gain.T)[:, None, :, None]


def on(denoise, first=(1.5, -0.5, 1.0), rows=ROWS):
    """Drawn on from these frames: (rows, FRAMES)."""
    plan = rolled(LEVELS, KNOWN, FRAMES, calls=12)
    noise = Noise(0, "rolling", tuple(range(rows)))
    x = started(torch.zeros(rows, 1, FRAMES, 1).double(), plan, noise)
    x[:, 0, :KNOWN, 0] = torch.tensor(first).double()
    states = list(walk(Windowed(denoise, WINDOW, OVERLAP), x, plan, Euler(), noise))
    return states, states[-1].x[:, 0, :, 0]


def off(found):
    """How far means, covariances of neighbours and variances are from the exact continuation's."""
    steps = torch.arange(1, FRAMES - KNOWN + 1).double()
    mean, var = RHO**steps * 1.0, 1 - RHO ** (2 * steps)
    new = found[:, KNOWN:]
    near = RHO * var[:-1]
    own = new - new.mean(0)
    return [
        (new.mean(0) - mean).abs().max(),
        (new.var(0) - var).abs().max(),
        ((own[:, 1:] * own[:, :-1]).mean(0) - near).abs().max(),
    ]


def test_what_follows_has_the_exact_law():
    """Fails if a frame is told another's level, the window looks at other frames, or too soon."""
    _, found = on(exact)
    assert max(off(found)) < 0.08


def test_one_level_for_all_would_be_seen():
    """Fails if the test above could not tell: a denoiser that is told the window's mean level."""

    def shared(x, here, cond=None, *, there=None):
        flat = Level(here.alpha, here.sigma.mean().expand(here.shape))
        return exact(x, flat)

    assert max(off(on(shared, rows=500)[1])) > 0.3


def test_finished_and_known_frames_stay_to_the_bit():
    """Fails if a frame whose level does not change is touched."""
    states, found = on(exact, rows=3)
    done = states[-2].level.sigma.flatten() == 0
    assert int(done.sum()) == FRAMES - 1
    assert torch.equal(states[-2].x[0, 0, done, 0], found[0, done])
    assert torch.equal(found[:, :KNOWN], torch.tensor([1.5, -0.5, 1.0]).double().expand(3, -1))


@pytest.mark.parametrize(("known", "calls"), [(1, 1), (3, 2), (9, 4)])
def test_noise_grows_along_time(known, calls):
    """Fails if a later frame is less noisy, more move at once than fit, or the end is not data."""
    levels = default_spacing()(Exploding(0.01), calls * (WINDOW - OVERLAP))
    plan = rolled(levels, known, FRAMES, calls)
    for here, move in plan.legs():
        noise, after = here.ratio.flatten(), move.to.ratio.flatten()
        assert (noise[1:] >= noise[:-1]).all()
        assert 0 < int((noise != after).sum()) <= WINDOW - OVERLAP
    assert move.to.is_data
    assert len(plan.moves) == calls * (WINDOW - OVERLAP + FRAMES - known - 1)


def test_the_window_is_the_one_that_moves():
    """Fails if the denoiser is shown frames of another window, or one of another length."""
    shown = []

    def spy(x, here, cond=None, *, there=None):
        shown.append(x[0, 0, :, 0].clone())
        return lift(torch.zeros(()).double(), x) * x

    denoise = Windowed(spy, WINDOW, OVERLAP)
    plan, x = rolled(LEVELS, KNOWN, FRAMES, 12), torch.arange(FRAMES).double()[None, None, :, None]
    for here, move in plan.legs():
        denoise(x, here, there=move.to)
    firsts = [int(part[0]) for part in shown]
    assert all(len(part) == WINDOW for part in shown)
    assert firsts == sorted(firsts)
    assert firsts[0] == 0
    assert firsts[-1] == FRAMES - WINDOW
