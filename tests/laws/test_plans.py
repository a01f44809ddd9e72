"""Plans: what comes out has the law it should have, and DDPM is exactly DDPM."""

import math

import core_laws as laws
import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.core.denoiser import NetDenoiser
from unmist.core.level import DATA, NOISE, Level, noised
from unmist.core.plan import (
    Part,
    Plan,
    Renoise,
    Step,
    ancestral,
    ascend,
    churn,
    descend,
    jumps,
    langevin,
    restart,
)
from unmist.core.prediction import Velocity
from unmist.core.schedule import exploding, preserving, rectified
from unmist.core.schedules import Cosine, Exploding, Flow
from unmist.core.solver import Euler, Heun, Multistep, SdeMultistep
from unmist.core.spacing import EvenTime, Karras, Logistic
from unmist.core.table import Table
from unmist.core.walk import final, walk

EXACT = laws.mixture()


def plain(schedule, steps, **held):
    return descend(Logistic(width=1.6, **held)(schedule, steps))


# name -> (plan, solver, bias of the means that the finite number of steps may leave)
UNGUIDED = {
    "plain": (plain(Exploding(), 30), Heun(), 0.005),
    "plain from noise": (plain(Flow(), 60), Multistep(2), 0.005),
    "default": (plain(Cosine(), 40), laws.Adams(3), 0.005),
    "eta 0": (ancestral(plain(Exploding(), 120), 0.0), Euler(), 0.02),
    "eta 0.5": (ancestral(plain(Exploding(), 150), 0.5), Euler(), 0.02),
    "eta 1": (ancestral(plain(Cosine(), 250), 1.0), Euler(), 0.02),
    "eta 1, heun": (ancestral(plain(Cosine(), 80), 1.0), Heun(), 0.005),
    "larger": (ancestral(plain(Table(), 300), 1.0, larger=True), Euler(), 0.03),
    "churn": (churn(plain(Exploding(), 60), 20, low=0.05, high=50), Heun(), 0.005),
    "jumps": (jumps(plain(Cosine(), 40), length=8, times=3), Heun(), 0.005),
    "restart": (restart(plain(Exploding(), 40), low=0.1, high=2.0, times=3), Heun(), 0.005),
    "langevin": (langevin(plain(Exploding(), 30), times=2, share=0.3), Heun(), 0.005),
    "sde": (plain(Exploding(), 80), SdeMultistep(), 0.02),
    "strength": (descend(Logistic()(Part(Cosine(), 0.6), 30)), Heun(), 0.005),
}


@pytest.mark.parametrize("name", UNGUIDED)
def test_samples_follow_the_law(name):
    # fails if mean, second moments or the weights of the modes leave 4 standard errors + the bias
    plan, solver, bias = UNGUIDED[name]
    x = laws.exact_start(EXACT, plan.start)
    last = final(walk(laws.Many(EXACT), x, plan, solver, laws.ids(len(x))))
    assert last.level.is_data
    laws.law_moments(last.x, EXACT, bias)


def correction(level, times, share):
    """Langevin moves at one level alone."""
    down = Level(level.alpha, level.sigma * (1 - share))
    return Plan(level, times * (Step(down), Renoise(level)))


def kolmogorov(x, level):
    """Least p-value over eight directions: x (b, 2, n) against 40,000 exact draws."""
    from scipy.stats import kstest

    fresh = EXACT.sample(40_000, level, seed=9).numpy()
    flat = x.movedim(1, -1).reshape(-1, 2).numpy()
    values = []
    for turn in np.linspace(0, np.pi, 8, endpoint=False):
        at = np.array([np.cos(turn), np.sin(turn)])
        values.append(kstest(flat @ at, fresh @ at).pvalue)
    return min(values)


def test_langevin_leaves_the_law_alone():
    # fails if the correction has another stationary law than p_t: 100 of them from exact samples
    level = Level(torch.tensor(1.0), torch.tensor(0.5))
    x = laws.exact_start(EXACT, level)
    last = final(walk(laws.Many(EXACT), x, correction(level, 100, 0.2), Heun(), laws.ids(8)))
    assert float((last.x - x).abs().mean()) > 0.3  # it moved
    laws.law_moments(last.x, EXACT, 0.002, level)
    assert kolmogorov(last.x, level) > 1e-3


def test_langevin_finds_the_law():
    # fails if corrections from a wrong law (one point, far off) do not converge to p_t
    level = Level(torch.tensor(1.0), torch.tensor(0.8))
    x = torch.full((8, 2, 500), 2.5).double()
    assert kolmogorov(x, level) < 1e-9
    last = final(walk(laws.Many(EXACT), x, correction(level, 150, 0.3), Heun(), laws.ids(8)))
    laws.law_moments(last.x, EXACT, 0.005, level)
    assert kolmogorov(last.x, level) > 1e-3


@pytest.mark.parametrize("larger", [False, True])
@pytest.mark.parametrize("process", laws.PROCESSES)
def test_a_step_is_ddpms_posterior(process, larger):
    # fails if mean or spread of an eta = 1 step is not q(x_s | x_t, x0)'s, or beta's, to 1e-12
    laws.law_posterior(laws.PROCESSES[process], larger)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_a_step_is_ddims(eta):
    # fails if spread or mean is not eq. 12 and 16 of 2010.02502
    x, mean = laws.normal(4, 3), laws.normal(4, 3, seed=1)
    t, s = Table().levels[torch.tensor(600)], Table().levels[torch.tensor(550)]
    plan = ancestral(Plan(t, (Step(s),)), eta)
    runs = [
        final(walk(lambda *_, **__: mean, x, plan, Euler(), lambda x, _, v=v: v + 0 * x)).x
        for v in (0.0, 1.0)
    ]
    spread = eta * (s.sigma / t.sigma) * (1 - (t.alpha / s.alpha) ** 2).sqrt()
    eps = (x - t.alpha * mean) / t.sigma
    want = s.alpha * mean + (s.sigma**2 - spread**2).sqrt() * eps
    torch.testing.assert_close(runs[0], want, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(runs[1] - runs[0], spread.expand(4, 3), rtol=1e-10, atol=1e-12)


def test_churn_is_edms():
    # fails if gamma is not min(churn/N, sqrt(2) - 1), applied inside [low, high] only, with S_noise
    plan = churn(plain(Exploding(), 10), 3.0, low=0.05, high=50, gain=1.007)
    here, seen = plan.start, 0
    for move in plan.moves:
        if isinstance(move, Renoise):
            assert float(move.to.ratio / here.ratio) == pytest.approx(1.3, rel=1e-12)
            assert 0.05 <= float(here.ratio) <= 50
            assert move.gain == 1.007
            seen += 1
        here = move.to
    assert 0 < seen < 10
    capped = churn(plain(Exploding(), 10), 100.0)
    assert float(capped.moves[0].to.ratio / capped.start.ratio) == pytest.approx(math.sqrt(2))


def test_jumps_count():
    # fails if RePaint's plan is not `times` passes over every stretch but the last
    plan = jumps(plain(Cosine(), 20), length=5, times=4)
    assert sum(isinstance(move, Step) for move in plan.moves) == 3 * 5 * 4 + 5
    assert sum(isinstance(move, Renoise) for move in plan.moves) == 3 * 3


@pytest.mark.parametrize("make", [Exploding, Cosine, Flow])
def test_inversion_comes_back(make):
    # fails if a picture walked up and down again by the same levels is another one
    x0 = EXACT.sample(200, seed=3)
    ends = []
    for count in (40, 80):
        levels = Logistic(width=1.6, high=20)(make(), count)
        up = final(walk(EXACT, x0, ascend(levels), Heun(), laws.ids(200)))
        assert float((up.level.sigma - levels.sigma[0]).abs()) == 0
        down = final(walk(EXACT, up.x, descend(levels), Heun(), laws.ids(200)))
        ends.append(float((down.x - x0).pow(2).mean().sqrt()))
    assert ends[1] < 0.01
    assert ends[1] < ends[0]


def test_inversion_reaches_the_marginal():
    # fails if going up does not end with the law of p_t: the path back would start elsewhere
    levels = Logistic(width=1.6, high=3)(Exploding(), 60)
    x = EXACT.sample(4000, seed=4).reshape(8, 500, 2).movedim(-1, 1)
    up = final(walk(laws.Many(EXACT), x, ascend(levels), Heun(), laws.ids(8)))
    laws.law_moments(up.x, EXACT, 0.02, up.level)


def test_strength_keeps_the_steps():
    # fails if image-to-image at strength 0.3 does 0.3*N steps
    for strength in (0.1, 0.5, 1.0):
        for spacing in (EvenTime(), Karras(), Logistic()):
            assert len(spacing(Part(Cosine(), strength), 17).alpha) == 17


def test_multistep_consistency_is_a_plan():
    # fails if Step(DATA), Renoise, Step(DATA) is not x0 = D, noised, D again (2303.01469, alg. 1)
    x, level = laws.normal(5, 3, 4, 4) * 80, exploding(torch.tensor(0.0).double())
    plan = Plan(Exploding().top, (Step(DATA), Renoise(level), Step(DATA)))
    denoise, noise = NetDenoiser(laws.SmallNet().double(), Velocity()), laws.ids(5)
    once = denoise(x, Exploding().top)
    want = denoise(noised(once, level, noise(x, 2)), level)
    got = final(walk(denoise, x, plan, Euler(), noise)).x
    torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


def test_bad_wishes_are_refused():
    # fails if nonsense becomes a plan
    plan = plain(Exploding(), 5)
    for make in (
        lambda: ancestral(plan, 1.2),
        lambda: ancestral(plan, 0.5, larger=True),
        lambda: jumps(plan, length=0),
        lambda: restart(plan, low=3, high=2),
        lambda: restart(plan, low=1e-9, high=1e-8),
        lambda: langevin(plan, share=1.0),
        lambda: Part(Cosine(), 0.0),
    ):
        with pytest.raises(BadInput):
            make()


@pytest.mark.parametrize("process", [preserving, rectified, exploding])
def test_noise_is_where_it_is_said(process):
    # fails if NOISE and a very noisy level of a process lead to different pictures
    x = laws.normal(50, 2)
    levels = process(-2 * torch.linspace(math.log(30), math.log(0.1), 20).double())
    whole = Plan(NOISE, (*(Step(levels[i]) for i in range(20)), Step(DATA)))
    near = process(torch.tensor(-2 * math.log(1e6)).double())
    ends = [final(walk(EXACT, x, whole, laws.Adams(3), laws.ids(50))).x]
    start = torch.hypot(near.alpha, near.sigma) * x
    ends.append(final(walk(EXACT, start, Plan(near, whole.moves), laws.Adams(3), laws.ids(50))).x)
    assert float((ends[0] - ends[1]).abs().max()) < 1e-3
