"""Values that diffusers' own tests record: x = arange/768, net(x, t) = x*t/(t + 1)."""

import math

import core_laws as laws
import pytest
import torch

from unmist.core.denoiser import NetDenoiser
from unmist.core.level import DATA
from unmist.core.plan import Plan, Step, ancestral
from unmist.core.prediction import Edm, Eps, LogRatio, TableIndex, Velocity
from unmist.core.schedules import Exploding
from unmist.core.solver import Euler, Multistep, Seen, euler_step
from unmist.core.spacing import Discrete, Karras
from unmist.core.table import Table
from unmist.core.unipc import UniPC
from unmist.core.walk import final, walk

X = (torch.arange(768).reshape(3, 8, 8, 4) / 768).permute(3, 0, 1, 2).double()


def recorded(x, clock, cond=None):
    return x * (clock / (clock + 1)).reshape(-1, 1, 1, 1)


def clipped(denoise):
    """clip_sample: a threshold is a denoiser around a denoiser."""
    return lambda x, here, cond=None, *, there=None: denoise(x, here).clamp(-1, 1)


@pytest.mark.parametrize(
    ("prediction", "betas", "to_one", "total"),
    [
        (Eps, 1e-4, True, 172.0067),
        (Velocity, 1e-4, True, 52.5302),
        (Eps, 0.01, True, 149.8295),
        (Eps, 0.01, False, 149.0784),
    ],
)
def test_recorded_ddim(prediction, betas, to_one, total):
    # fails if sum|x| of their DDIM test is not met by our table, spacing and Euler
    table = Table("linear", beta_min=betas)
    end = DATA if to_one else table.bottom
    plan = laws.through_table(table, "leading", 10, end)
    denoise = clipped(NetDenoiser(recorded, prediction(clock=TableIndex(table))))
    last = final(walk(denoise, X, plan, Euler(), laws.ids(4)))
    assert float(last.x.abs().sum()) == pytest.approx(total, abs=1e-2)


def test_recorded_inversion():
    # fails if steps up are not DDIM's inverse; theirs tells the network the level it goes to
    table = Table("linear")
    levels = Discrete("leading")(table, 10)
    clock = TableIndex(table)

    def ahead(x, here, cond=None, *, there=None):
        eps = recorded(x, clock(there).reshape(1))
        return (x - here.sigma * eps) / here.alpha

    plan = Plan(DATA, tuple(Step(levels[i]) for i in reversed(range(10))))
    last = final(walk(ahead, X, plan, Euler(), laws.ids(4)))
    assert float(last.x.abs().sum()) == pytest.approx(671.6816, abs=1e-2)


class LowerFinal:
    """Theirs, lower_order_final: the last step of a plan is Euler's."""

    def __init__(self, solver, end):
        self.solver, self.end, self.memory = solver, end, solver.memory

    def __call__(self, x, here, there, past, noise):
        ahead, seen = yield from self.solver(x, here, there, past, noise)
        assert isinstance(seen, Seen)
        if there is self.end:
            ahead = euler_step(seen.x, seen.mean, here, there)
        return ahead, seen


@pytest.mark.parametrize(
    ("solver", "lower", "prediction", "mean"),
    [
        (Multistep(2), False, Eps, 0.3301),
        (Multistep(2), False, Velocity, 0.2251),
        (UniPC(2), True, Eps, 0.2464),
        (UniPC(2), True, Velocity, 0.1014),
    ],
)
def test_recorded_multistep(solver, lower, prediction, mean):
    # fails if mean|x| of their 10 linspace steps down to sigma_min is not met
    table = Table("linear")
    index = torch.linspace(0, 999, 11).round().long().flip(0)
    plan = laws.through(table.levels[index])
    solver = LowerFinal(solver, plan.moves[-1].to) if lower else solver
    denoise = NetDenoiser(recorded, prediction(clock=TableIndex(table)))
    last = final(walk(denoise, X, plan, solver, laws.ids(4)))
    assert float(last.x.abs().mean()) == pytest.approx(mean, abs=1e-3)


@pytest.mark.parametrize(("karras", "total"), [(False, 10.0807), (True, 124.523)])
def test_recorded_euler(karras, total):
    # fails if our table, Karras levels, index in log-SNR or step differ; their test steps from the
    # scaled input, so each step here is taken by hand
    table = Table("linear", steps=1100)
    ratio = table.levels.ratio
    if karras:
        low, high = float(ratio[0]), float(ratio[-1])
        stops = Karras(7.0, low, high)(Exploding(low, high), 10).sigma
    else:
        stops = table.at(torch.linspace(0, 1099, 10).double()).ratio.flip(0)
        index = torch.linspace(0, 1099, 10).double().flip(0)
        low = index.floor().long().clamp(max=1098)
        stops = ratio[low] + (index - low) * (ratio[low + 1] - ratio[low])
    x = X * stops[0]
    for i, sigma in enumerate(stops):
        after = stops[i + 1] if i < 9 else torch.zeros(()).double()
        clock = table.index(-2 * sigma.log()) if karras else index[i]
        x = x / (sigma**2 + 1).sqrt()
        mean = x - sigma * recorded(x, clock)
        x = euler_step(x, mean, laws.at_sigma(sigma), laws.at_sigma(after))
    assert float(x.abs().sum()) == pytest.approx(total, abs=1e-2)


class Quarter(LogRatio):
    """EDM's c_noise, log(sigma)/4."""

    def __call__(self, level):
        return level.log_ratio / 4


def test_recorded_edm():
    # fails if EDM's preconditioning for spread 0.5, its Karras levels or Euler differ
    levels = Karras()(Exploding(), 10)
    plan = laws.through(laws.at_sigma(torch.cat([levels.sigma, torch.zeros(1).double()])))
    denoise = NetDenoiser(recorded, Edm(0.5, clock=Quarter()))
    last = final(walk(denoise, X * math.sqrt(80**2 + 1), plan, Euler(), laws.ids(4)))
    assert float(last.x.abs().sum()) == pytest.approx(34.1855, abs=1e-2)


def test_recorded_karras():
    # fails if rho = 7 levels differ from k-diffusion's
    want = [14.614642, 9.102934, 5.478399, 3.168610, 1.749422]
    want += [0.914076, 0.446921, 0.201400, 0.081911, 0.029168]
    low, high = 0.0291675, 14.614642
    got = Karras(7.0, low, high)(Exploding(low, high), 10).sigma
    assert torch.allclose(got, torch.tensor(want).double(), atol=2e-6)


@pytest.mark.parametrize(("t", "before", "value"), [(420, 400, 0.14771), (980, 960, 0.32460)])
def test_recorded_variance(t, before, value):
    # fails if the spread of an eta = 1 step is not theirs
    levels = Table("linear").levels
    plan = ancestral(Plan(levels[t], (Step(levels[before]),)), 1.0)
    zero = torch.zeros(1, 1).double()
    last = final(walk(lambda *_, **__: zero, zero, plan, Euler(), lambda x, _: x + 1)).x
    assert float(last) ** 2 == pytest.approx(value, abs=1e-5)
