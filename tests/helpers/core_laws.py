"""The laws of the core as functions that raise, and every member of every family to try them on.

A law lives here when a planted fault must be shown to break it (tests/laws/test_faults.py).
"""

import inspect
import math
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from unmist.base.noise import Noise
from unmist.core.adams import Adams
from unmist.core.denoiser import NetDenoiser
from unmist.core.exact import Mixture
from unmist.core.level import DATA, Level, noised
from unmist.core.plan import Plan, Step, ancestral, descend
from unmist.core.prediction import Edm, Prediction, mean_of, predictions, target_of
from unmist.core.schedule import Curve, Schedule, exploding, preserving, rectified, schedules
from unmist.core.schedules import Cosine, Flow
from unmist.core.solver import Euler, Multistep, Solver, solvers
from unmist.core.spacing import Discrete, Logistic
from unmist.core.table import Table
from unmist.core.unipc import UniPC
from unmist.core.walk import final, walk

PROCESSES = {"preserving": preserving, "exploding": exploding, "rectified": rectified}


def all_schedules() -> dict[str, Schedule]:
    """Every registered schedule at its defaults, and the variants that have code of their own."""
    more: dict[str, Schedule] = {
        "table cosine": Table("cosine"),
        "table scaled": Table("scaled_linear"),
        "table zero terminal": Table("linear", zero_terminal=True),
        "table of four": Table(betas=(0.01, 0.1, 0.3, 0.6)),
        "cosine shifted": Cosine().shifted(0.4),
        "flow shifted": Flow().shifted(3.0),
        "curve": Curve(lambda t: 12 - 24 * t - torch.sin(6 * t), rectified, 1e-3, 1 - 1e-3),
    }
    return {name: schedules[name]() for name in schedules} | more


def all_predictions() -> dict[str, Prediction]:
    """Every registered prediction, and EDM's for another spread."""
    return {name: predictions[name]() for name in predictions} | {"edm half": Edm(sigma_data=0.5)}


def all_solvers() -> dict[str, Solver]:
    """Every registered solver at its defaults, and every order."""
    more: dict[str, Solver] = {
        "multistep 3 warm": Multistep(3, warm=True),
        "unipc 1": UniPC(1),
        "unipc 3": UniPC(3),
        "adams 1": Adams(1),
        "adams 2": Adams(2),
        "adams wide": Adams(3, scale=2.0),
    }
    return {name: solvers[name]() for name in solvers} | more


def mixture() -> Mixture:
    """Three overlapping, tilted parts in two dimensions, of uneven weight."""
    means = torch.tensor([[-1.0, -0.4], [0.9, -0.7], [0.5, 1.2]])
    covs = torch.tensor(
        [[[0.10, 0.04], [0.04, 0.06]], [[0.05, -0.02], [-0.02, 0.16]], [[0.3, 0.0], [0.0, 0.04]]]
    )
    return Mixture(torch.tensor([0.5, 0.3, 0.2]), means, covs)


class SmallNet(nn.Module):
    """Two convolutions and a clock; random, seeded, smooth; nothing in it is linear."""

    def __init__(self, channels: int = 3, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first = nn.Conv2d(channels, 8, 3, padding=1)
            self.last = nn.Conv2d(8, channels, 3, padding=1)
            self.time = nn.Linear(1, 8)

    def forward(self, x: Tensor, clock: Tensor, cond: object = None) -> Tensor:
        """(b, c, h, w)."""
        hidden = self.first(x) + self.time(clock[:, None] / 4)[:, :, None, None]
        return self.last(torch.tanh(hidden))


class PerFrame(nn.Module):
    """A network that takes a clock for each frame."""

    def forward(self, x: Tensor, clock: Tensor, cond: object = None) -> Tensor:
        """Shape of x."""
        return torch.tanh(x) * torch.cos(clock).reshape(clock.shape + (1,) * (x.ndim - clock.ndim))


def ids(count: int) -> Noise:
    """Noise for `count` rows."""
    return Noise(3, "laws", tuple(range(count)))


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Seeded float64 draws, none of them ours."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@contextmanager
def planted(function: Callable[..., object], old: str, new: str) -> Iterator[None]:
    """`function` with a piece of its own source replaced, wherever it was imported to."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"the fault's place is gone: {old!r}"
    space = dict(function.__globals__)
    exec(compile(source.replace(old, new), "<planted>", "exec"), space)
    before = function.__code__
    function.__code__ = space[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = before


def through(levels: Level) -> Plan:
    """Steps through all of `levels` (n,), the last being the end."""
    return Plan(levels[0], tuple(Step(levels[i]) for i in range(1, len(levels.alpha))))


def at_sigma(sigma: Tensor) -> Level:
    """sigma (n,) at alpha = 1."""
    sigma = torch.as_tensor(sigma).double()
    return Level(torch.ones_like(sigma), sigma)


def through_table(table: Table, spacing: str, steps: int, end: Level = DATA) -> Plan:
    """diffusers' steps on our own table."""
    return descend(Discrete(spacing)(table, steps), end)


# ---- laws ----------------------------------------------------------------------------------------


def law_scale_free(prediction: Prediction) -> None:
    """D(c*x, c*level) = D(x, level), at clean, middle, noisy and unnormalised levels."""
    denoise = NetDenoiser(SmallNet().double(), prediction)
    x = normal(4, 3, 6, 6)
    here = Level(torch.tensor([1.0, 0.7, 0.1, 1.0]), torch.tensor([0.01, 0.7, 1.0, 80.0]))
    mean = denoise(x, here)
    for c in (0.01, 3.0, 50.0):
        scaled = denoise(c * x, Level(c * here.alpha, c * here.sigma))
        torch.testing.assert_close(scaled, mean, rtol=1e-9, atol=1e-9)


def law_round_trip(prediction: Prediction, schedule: Schedule) -> None:
    """The mean made of the target is x0 itself, and the target at unit levels is of unit size."""
    t = torch.linspace(0.001, 0.999, 41, dtype=torch.float64)
    level, x0, eps = schedule(t), normal(41, 7, seed=1), normal(41, 7, seed=2)
    x = noised(x0, level, eps)
    target = target_of(prediction, x0, eps, level)
    back = mean_of(prediction, x, target, level)
    # what float64 leaves of x0 in x_t is its rounding over alpha
    bound = 1e-12 * (1 + level.ratio)[:, None] * 10
    assert bool(((back - x0).abs() < bound).all()), float((back - x0).abs().max())


def segment(process: Callable[[Tensor], Level], steps: int) -> Plan:
    """From sigma/alpha = 4 to 0.2 evenly in log-SNR: no end is touched."""
    ratio = torch.linspace(math.log(4.0), math.log(0.2), steps + 1, dtype=torch.float64)
    levels = process(-2 * ratio)
    return descend(levels[slice(0, steps)], levels[steps])


@cache
def truth() -> tuple[Tensor, Tensor]:
    """y = x/alpha at sigma/alpha = 4, and by DOP853 on dy/dr = (y - D)/r at 0.2; (16, 2) each."""
    from scipy.integrate import solve_ivp

    exact, y = mixture(), 4 * normal(16, 2, seed=5)

    def slope(r: float, flat: np.ndarray) -> np.ndarray:
        at = torch.from_numpy(flat.reshape(16, 2))
        mean = exact(at, Level(torch.ones(()), torch.tensor(r, dtype=torch.float64)))
        return ((at - mean) / r).numpy().ravel()

    found = solve_ivp(slope, (4.0, 0.2), y.numpy().ravel(), "DOP853", rtol=1e-11, atol=1e-12).y
    return y, torch.from_numpy(found[:, -1].reshape(16, 2))


def endpoint_error(solver: Solver, process: Callable[[Tensor], Level], steps: int) -> float:
    """Root mean square against the truth."""
    (y, end), plan = truth(), segment(process, steps)
    last = final(walk(mixture(), plan.start.like(y).alpha * y, plan, solver, ids(16)))
    return float((last.x / last.level.like(y).alpha - end).pow(2).mean().sqrt())


def law_order(solver: Solver, process: Callable[[Tensor], Level]) -> None:
    """Halving the step divides the error by 2^order."""
    coarse, fine = (endpoint_error(solver, process, n) for n in (96, 192))
    order = math.log2(coarse / fine)
    assert order > solver.order - 0.25, f"order {order:.2f}, declared {solver.order}"


class Many:
    """A closed form over samples kept side by side: x (b, d, n) holds b*n of them.

    Noise is keyed by row, so few rows of many samples are drawn quickly.
    """

    def __init__(self, exact: Mixture) -> None:
        self.exact = exact

    def __call__(
        self, x: Tensor, here: Level, cond: object = None, *, there: Level | None = None
    ) -> Tensor:
        """Shape of x."""
        rows = x.movedim(1, -1)
        flat = rows.reshape(-1, x.shape[1])
        level = here if here.shape == () else here.rows(len(x))[_repeat(x)]
        return self.exact(flat, level).reshape(rows.shape).movedim(-1, 1)


def _repeat(x: Tensor) -> Tensor:
    return torch.arange(len(x)).repeat_interleave(x.shape[-1])


def exact_start(exact: Mixture, level: Level, rows: int = 8, each: int = 500) -> Tensor:
    """(rows, d, each) exact draws of x_t."""
    return exact.sample(rows * each, level, seed=11).reshape(rows, each, -1).movedim(-1, 1)


def law_moments(x: Tensor, exact: Mixture, bias: float, level: Level = DATA) -> None:
    """Mean, second moments and weights of the parts of x (b, d, n): 4 standard errors + `bias`."""
    flat = x.movedim(1, -1).reshape(-1, x.shape[1])
    fresh = exact.sample(400_000, level, seed=12)
    tests = {
        "mean": lambda v: v,
        "second": lambda v: torch.stack([v[:, 0] ** 2, v[:, 1] ** 2, v[:, 0] * v[:, 1]], 1),
        "weights": lambda v: exact.responsibilities(v, Level(level.alpha, level.sigma + 0.05)),
    }
    for name, statistic in tests.items():
        got, want = statistic(flat), statistic(fresh)
        error = (got.mean(0) - want.mean(0)).abs()
        allowed = 4 * want.std(0) * (1 / len(got) + 1 / len(want)) ** 0.5 + bias
        assert bool((error < allowed).all()), f"{name}: off by {error}, allowed {allowed}"


def law_dtype(solver: Solver, shape: tuple[int, ...] = ()) -> None:
    """float32 in, float32 asked and float32 out, with levels of any shape."""
    denoise, x = NetDenoiser(PerFrame(), predictions["v"]()), normal(4, 3, 6, 6).float()
    plan = descend(Logistic()(schedules["flow"](), 4))
    plan = Plan(
        _shaped(plan.start, shape), tuple(type(m)(_shaped(m.to, shape)) for m in plan.moves)
    )
    for state in walk(denoise, x, plan, solver, ids(4)):
        assert state.x.dtype == torch.float32, state.x.dtype
        assert state.mean.dtype == torch.float32, state.mean.dtype


def _shaped(level: Level, shape: tuple[int, ...]) -> Level:
    return Level(level.alpha.expand(shape), level.sigma.expand(shape))


def law_rows_alone(solver: Solver) -> None:
    """Rows at levels of their own move as each alone; 4 rows of width 4, so none is refused."""
    exact = mixture()
    ratio = torch.tensor([4.0, 2.0, 1.0, 0.5]).double() * torch.tensor(
        [[1.0], [0.6], [0.5], [0.3], [0.15]]
    )
    levels = preserving(-2 * ratio.log())
    x = normal(4, 2, 4)
    plan = descend(levels[slice(0, 4)], levels[4])
    together = final(walk(Many(exact), x, plan, solver, ids(4))).x
    for row in range(4):
        own = preserving(-2 * ratio[:, row].log())
        alone = descend(own[slice(0, 4)], own[4])
        noise = ids(4).select([row])
        apart = final(walk(Many(exact), x[row : row + 1], alone, solver, noise)).x
        torch.testing.assert_close(together[row : row + 1], apart, rtol=1e-10, atol=1e-10)


def law_posterior(process: Callable[[Tensor], Level], larger: bool = False) -> None:
    """An eta = 1 step's mean and spread are the posterior's (DDPM 2006.11239, eq. 6 and 7).

    In preserving terms, x/hypot(alpha, sigma): beta~ = beta*(1 - abar_s)/(1 - abar_t), or beta.
    """
    t, s = process(torch.tensor(-1.3).double()), process(torch.tensor(-0.9).double())
    x, mean = normal(4, 3), normal(4, 3, seed=1)
    plan = ancestral(Plan(t, (Step(s),)), 1.0, larger=larger)
    runs = [
        final(walk(lambda *_, **__: mean, x, plan, Euler(), lambda x, _, v=v: v + 0 * x)).x
        for v in (0.0, 1.0)
    ]
    sizes = [torch.hypot(level.alpha, level.sigma) for level in (t, s)]
    kept = [(level.alpha / size) ** 2 for level, size in zip((t, s), sizes, strict=True)]
    step = kept[0] / kept[1]
    beta, left, past = 1 - step, 1 - kept[0], 1 - kept[1]
    want = kept[1].sqrt() * beta / left * mean + step.sqrt() * past / left * x / sizes[0]
    spread = (beta if larger else beta * past / left).sqrt()
    torch.testing.assert_close(runs[0], want * sizes[1], rtol=1e-12, atol=1e-12)
    spreads = (spread * sizes[1]).expand(4, 3)
    torch.testing.assert_close(runs[1] - runs[0], spreads, rtol=1e-12, atol=1e-12)
