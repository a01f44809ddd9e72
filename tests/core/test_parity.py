"""Ours against diffusers 0.42 on the same denoiser and levels.

Each difference that is not the solver's is named by its flag. Theirs computes sigmas, and in the
multistep schedulers the samples too, in float32: that is what is left of the differences.
"""

import warnings

import core_laws as laws
import pytest
import torch

from unmist.core.denoiser import NetDenoiser
from unmist.core.level import DATA, Level
from unmist.core.plan import ancestral
from unmist.core.prediction import Eps, TableIndex
from unmist.core.solver import Euler, Heun, Multistep, SdeMultistep
from unmist.core.spacing import Discrete
from unmist.core.table import Table
from unmist.core.unipc import UniPC
from unmist.core.walk import final, walk

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import diffusers
    from diffusers.schedulers import (
        scheduling_ddpm,
        scheduling_dpmsolver_multistep,
        scheduling_euler_ancestral_discrete,
    )
    from diffusers.utils import logging

    logging.set_verbosity_error()

EXACT = laws.mixture()
TABLE = {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}
pytestmark = pytest.mark.filterwarnings("ignore")


def preserving(sigmas):
    """sigma/alpha (n,) as levels with alpha^2 + sigma^2 = 1."""
    ratio = torch.as_tensor(sigmas).double()
    size = torch.hypot(ratio, torch.ones(()).double())
    return Level(1 / size, ratio / size)


class Drawn:
    """Draws ours and keeps them, for theirs to draw again."""

    def __init__(self):
        self.kept = []

    def __call__(self, x, move):
        self.kept.append(laws.normal(*x.shape, seed=move))
        return self.kept[-1]

    def again(self, shape, **_):
        return self.kept.pop(0)


def same(ours, theirs, bound=1e-4):
    assert bool(theirs.isfinite().all())
    assert float(theirs.std()) > 0.1
    assert float((ours - theirs).abs().max()) < bound, float((ours - theirs).abs().max())


def start(level):
    """(6, 2, 1, 1): of the mixture's marginal."""
    return EXACT.sample(6, level, seed=1).reshape(6, 2, 1, 1)


def told(x, level, kind):
    """The exact mean in their terms."""
    mean = EXACT(x, level)
    return mean if kind == "sample" else (x - level.alpha * mean) / level.sigma


# ---- DDIM and DDPM ---


def table_run(scheduler, x, kind):
    kept = scheduler.alphas_cumprod.double()
    for t in scheduler.timesteps:
        level = Level(kept[t].sqrt(), (1 - kept[t]).sqrt())
        x = scheduler.step(told(x, level, kind), t, x).prev_sample
    return x


def table_levels(scheduler, end=DATA):
    kept = scheduler.alphas_cumprod.double()[scheduler.timesteps]
    levels = Level(kept.sqrt(), (1 - kept).sqrt())
    return Level(
        torch.cat([levels.alpha, end.alpha.reshape(1)]),
        torch.cat([levels.sigma, end.sigma.reshape(1)]),
    )


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("to_one", [True, False])
def test_ddim(spacing, to_one):
    # fails if Euler in the mean is not DDIM; set_alpha_to_one=False ends at the table's first.
    # Not 'linspace': there theirs steps by 1000//N and asks 999/(N-1) further down, so that sample
    # and level part
    scheduler = diffusers.DDIMScheduler(
        **TABLE,
        timestep_spacing=spacing,
        clip_sample=False,
        set_alpha_to_one=to_one,
        prediction_type="sample",
    )
    scheduler.set_timesteps(10)
    first = scheduler.alphas_cumprod[0].double()
    levels = table_levels(scheduler, DATA if to_one else Level(first.sqrt(), (1 - first).sqrt()))
    x = start(levels[0])
    ours = final(walk(EXACT, x, laws.through(levels), Euler(), laws.ids(6))).x
    same(ours, table_run(scheduler, x, "sample"))
    mine = Discrete(spacing).indices(1000, 10)
    assert mine.tolist() == scheduler.timesteps.tolist()


@pytest.mark.parametrize("steps", [20, 250])
@pytest.mark.parametrize("variance", ["fixed_small", "fixed_large"])
def test_ddpm(variance, steps, monkeypatch):
    # fails if eta = 1, with or without the larger variance, is not DDPM on the same draws
    scheduler = diffusers.DDPMScheduler(
        **TABLE, variance_type=variance, clip_sample=False, prediction_type="sample"
    )
    scheduler.set_timesteps(steps)
    levels, noise = table_levels(scheduler), Drawn()
    plan = ancestral(laws.through(levels), 1.0, larger=variance == "fixed_large")
    x = start(levels[0])
    ours = final(walk(EXACT, x, plan, Euler(), noise)).x
    monkeypatch.setattr(scheduling_ddpm, "randn_tensor", noise.again)
    same(ours, table_run(scheduler, x, "sample"))
    assert noise.kept == []


# ---- the multistep family ---


def preserving_run(scheduler, x):
    for t in scheduler.timesteps:
        step = scheduler.step_index or 0
        level = preserving(scheduler.sigmas)[step]
        x = scheduler.step(EXACT(x, level), t, x).prev_sample
    return x


def multistep(name, steps, **flags):
    scheduler = getattr(diffusers, name)(
        **{**TABLE, "prediction_type": "sample", "lower_order_final": False} | flags
    )
    scheduler.set_timesteps(steps)
    return scheduler


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("last", ["zero", "sigma_min"])
def test_dpm_solver(order, last):
    # fails if 2M, or 3M as published, differs; lower_order_final=False: ours keeps its order
    name = "DPMSolverMultistepScheduler"
    scheduler = multistep(name, 16, solver_order=order, final_sigmas_type=last)
    levels = preserving(scheduler.sigmas)
    x, solver = start(levels[0]), Multistep(order, published=order == 3)
    ours = final(walk(EXACT, x, laws.through(levels), solver, laws.ids(6))).x
    same(ours, preserving_run(scheduler, x))


def test_sde_dpm_solver(monkeypatch):
    # fails if the noisy 2M differs on the same draws
    name, kind = "DPMSolverMultistepScheduler", "sde-dpmsolver++"
    scheduler = multistep(name, 16, algorithm_type=kind, use_karras_sigmas=True)
    levels, noise = preserving(scheduler.sigmas), Drawn()
    x = start(levels[0])
    ours = final(walk(EXACT, x, laws.through(levels), SdeMultistep(), noise)).x
    module = scheduling_dpmsolver_multistep
    monkeypatch.setattr(module, "randn_tensor", lambda *a, **k: noise.again(None).float())
    same(ours, preserving_run(scheduler, x))
    assert noise.kept == []


@pytest.mark.parametrize("order", [1, 2, 3])
def test_unipc(order):
    # fails if predictor or corrector differs; ending at sigma_min, as theirs is not finite at 0
    # without lower_order_final
    name = "UniPCMultistepScheduler"
    flags = {"solver_type": "bh2", "final_sigmas_type": "sigma_min"}
    scheduler = multistep(name, 12, solver_order=order, **flags)
    levels = preserving(scheduler.sigmas)
    x = start(levels[0])
    ours = final(walk(EXACT, x, laws.through(levels), UniPC(order), laws.ids(6))).x
    same(ours, preserving_run(scheduler, x))


# ---- Euler and Heun on exploding levels ---


def exploding_run(scheduler, x, seen):
    for i, t in enumerate(scheduler.timesteps):
        scheduler.is_scale_input_called = True
        eps = told(x, laws.at_sigma(seen)[i], "eps")
        x = scheduler.step(eps, t, x).prev_sample
    return x


@pytest.mark.parametrize("kind", ["Euler", "EulerAncestral", "Heun"])
def test_exploding(kind, monkeypatch):
    # fails if Euler, ancestral at eta = 1 on an exploding process, or Heun differs
    flags = {} if kind == "EulerAncestral" else {"use_karras_sigmas": True}
    scheduler = getattr(diffusers, f"{kind}DiscreteScheduler")(**TABLE, **flags)
    scheduler.set_timesteps(12)
    sigmas = scheduler.sigmas.double()
    stops = torch.cat([sigmas[:1], sigmas[1::2]]) if kind == "Heun" else sigmas
    plan, noise = laws.through(laws.at_sigma(stops)), Drawn()
    plan = ancestral(plan, 1.0) if kind == "EulerAncestral" else plan
    x = start(plan.start)
    solver = Heun() if kind == "Heun" else Euler()
    ours = final(walk(EXACT, x, plan, solver, noise)).x
    module = scheduling_euler_ancestral_discrete
    drawn = [*noise.kept, torch.zeros_like(x)]  # theirs draws on the last step too, times 0
    monkeypatch.setattr(module, "randn_tensor", lambda *a, **k: drawn.pop(0))
    same(ours, exploding_run(scheduler, x, sigmas))


# ---- a diffusers network as a denoiser of ours ---


def test_a_diffusers_network():
    # fails if a UNet2DModel, told table indices, is not the same through our core as by theirs
    torch.manual_seed(0)
    net = diffusers.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=4,
        attention_head_dim=8,
        layers_per_block=1,
    ).double()

    def ours(x, clock, cond):
        return net(x, clock).sample

    table = Table("linear")
    scheduler = diffusers.DDIMScheduler(**TABLE, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(8)
    x = laws.normal(2, 1, 8, 8)
    denoise = NetDenoiser(ours, Eps(clock=TableIndex(table)))
    found = final(
        walk(denoise, x, laws.through_table(table, "trailing", 8), Euler(), laws.ids(2))
    ).x
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(net(x, t).sample, t, x).prev_sample
    assert float(x.std()) > 0.1
    # their float32 table against our float64 one is what is left
    assert float((found - x).abs().max() / x.abs().max()) < 1e-4
