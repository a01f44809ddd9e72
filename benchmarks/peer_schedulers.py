"""Every deterministic diffusers scheduler of four kinds of process, driven by an exact denoiser.

The denoiser is told the level that the scheduler itself believes in (not the rounded time step), so
a peer never pays for rounding. Kinds: `linear` and `cosine` (tables of 1,000 betas), `edm` (sigma
from 0.002 to 80; schedulers of tables get a table with these ends), `flow`.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import diffusers
import numpy as np
import torch
from torch import Tensor

from unmist.core.denoiser import Denoiser
from unmist.core.level import Level

__all__ = ["KINDS", "Peer", "endpoint", "peers"]

KINDS = ("linear", "cosine", "edm", "flow")
NO_BETAS = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")
EXPLODING = ("EulerDiscrete", "HeunDiscrete", "LMSDiscrete", "KDPM2Discrete")


@dataclass(frozen=True)
class Peer:
    """One setting; `made` holds the class and its flags for every kind that it serves."""

    name: str
    made: dict[str, tuple[str, dict[str, Any]]] = field(hash=False)

    def scheduler(self, kind: str) -> Any:
        """A fresh one."""
        name, flags = self.made[kind]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(diffusers, name)(**flags)


def edm_betas() -> list[float]:
    """A variance-preserving table whose sigma/alpha is even in the logarithm from .002 to 80."""
    ratio = np.geomspace(0.002, 80, 1000)
    kept = 1 / (1 + ratio**2)
    return (1 - kept / np.concatenate([[1.0], kept[:-1]])).tolist()


def table(kind: str) -> dict[str, Any]:
    """The flags that choose a table."""
    return {
        "linear": {"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02},
        "cosine": {"beta_schedule": "squaredcos_cap_v2"},
        "edm": {"trained_betas": edm_betas()},
    }[kind]


SPACINGS: dict[str, dict[str, Any]] = {
    "leading": {"timestep_spacing": "leading"},
    "linspace": {"timestep_spacing": "linspace"},
    "trailing": {"timestep_spacing": "trailing"},
    "karras": {"use_karras_sigmas": True},
    "exponential": {"use_exponential_sigmas": True},
    "beta": {"use_beta_sigmas": True},
    "lu": {"use_lu_lambdas": True},
}
PLAIN = ("leading", "linspace", "trailing")
MOST = (*PLAIN, "karras", "exponential", "beta")


def multistep_families() -> Iterator[tuple[str, str, dict[str, Any], tuple[str, ...]]]:
    """Name, class, flags, spacings of those that also take flow sigmas."""
    many = "DPMSolverMultistepScheduler"
    for order, kind in ((1, "midpoint"), (2, "midpoint"), (2, "heun"), (3, "midpoint")):
        for last in (False, True) if order > 1 else (False,):
            flags = {"solver_order": order, "solver_type": kind, "euler_at_final": last}
            name = f"DPM++{order}M {kind}{' euler-final' if last else ''}"
            yield name, many, flags, (*MOST, "lu")
    for order, kind in ((2, "midpoint"), (2, "heun"), (3, "midpoint")):
        flags = {"solver_order": order, "solver_type": kind, "lower_order_final": True}
        name = f"DPM++{order}S {kind}"
        spaced = ("linspace", "karras", "exponential", "beta")
        yield name, "DPMSolverSinglestepScheduler", flags, spaced
    for order, kind in ((1, "bh2"), (2, "bh1"), (2, "bh2"), (3, "bh1"), (3, "bh2")):
        flags = {"solver_order": order, "solver_type": kind}
        if kind == "bh1":  # its weights are infinite on a step to sigma = 0
            flags["final_sigmas_type"] = "sigma_min"
        yield f"UniPC{order} {kind}", "UniPCMultistepScheduler", flags, MOST
    for order in (2, 3):
        yield f"DEIS{order}", "DEISMultistepScheduler", {"solver_order": order}, MOST
    for order in (2, 3):
        flags = {"predictor_order": order, "corrector_order": order, "tau_func": still}
        yield f"SA{order} tau=0", "SASolverScheduler", flags, MOST


def still(_t: float) -> float:
    """SA-Solver without its noise."""
    return 0.0


def with_flow() -> Iterator[Peer]:
    """Multistep solvers: tables with every spacing, flow sigmas with two shifts."""
    for name, scheduler, flags, spacings in multistep_families():
        sample = {**flags, "prediction_type": "sample"}
        for spacing in spacings:
            for shift in (1.0, 3.0):
                chosen = {} if scheduler.startswith("DPMSolverSingle") else SPACINGS[spacing]
                chosen = SPACINGS[spacing] if spacing not in PLAIN else chosen
                made = {
                    kind: (scheduler, {**sample, **chosen, **table(kind)})
                    for kind in ("linear", "cosine", "edm")
                }
                flow = {"use_flow_sigmas": True, "flow_shift": shift}
                made["flow"] = (scheduler, {**sample, **flow})
                yield Peer(f"{name} | {spacing} | shift {shift:g}", made)


def exploding() -> Iterator[Peer]:
    """k-diffusion's samplers; Euler and Heun have a namesake for flows."""
    for short, spaced in (("Euler", MOST), ("Heun", MOST), ("LMS", MOST), ("KDPM2", MOST)):
        for spacing in spaced:
            scheduler = f"{short}DiscreteScheduler"
            made = {
                kind: (scheduler, {**SPACINGS[spacing], **table(kind)})
                for kind in ("linear", "cosine", "edm")
            }
            if short == "Euler":
                ramp = {} if spacing in PLAIN else SPACINGS[spacing]
                made["flow"] = ("FlowMatchEulerDiscreteScheduler", ramp)
            if short == "Heun":
                made["flow"] = ("FlowMatchHeunDiscreteScheduler", {})
            yield Peer(f"{short} | {spacing}", made)


def others() -> Iterator[Peer]:
    """DDIM, PNDM and EDM's own."""
    for spacing in PLAIN:
        for name, flags in (
            ("DDIM", {"clip_sample": False, "prediction_type": "sample"}),
            ("PNDM", {"skip_prk_steps": True}),
        ):
            made = {
                kind: (f"{name}Scheduler", {**flags, **SPACINGS[spacing], **table(kind)})
                for kind in ("linear", "cosine", "edm")
            }
            yield Peer(f"{name} | {spacing}", made)
    for spacing in ("karras", "exponential"):
        flags = {"sigma_schedule": spacing}
        yield Peer(f"EDMEuler | {spacing}", {"edm": ("EDMEulerScheduler", flags)})
        for order, kind in ((1, "midpoint"), (2, "midpoint"), (2, "heun"), (3, "midpoint")):
            full = {**flags, "solver_order": order, "solver_type": kind}
            made = {"edm": ("EDMDPMSolverMultistepScheduler", full)}
            yield Peer(f"EDM-DPM++{order}M {kind} | {spacing}", made)


def peers() -> list[Peer]:
    """All settings."""
    return [*with_flow(), *exploding(), *others()]


Ask = Callable[[Any, Any, Tensor], tuple[Tensor, Level]]


def level_of(scheduler: Any, t: Tensor) -> Level:
    """The level at which a scheduler believes its sample to stand."""
    name = type(scheduler).__name__
    if name.startswith(("DDIM", "PNDM")):
        kept = scheduler.alphas_cumprod[int(t)].double()
        return Level(kept.sqrt(), (1 - kept).sqrt())
    step = scheduler.step_index if scheduler.step_index is not None else 0
    if name.startswith("KDPM2") and not scheduler.state_in_first_order:
        return Level(torch.ones(()), scheduler.sigmas_interpol[step].double())
    sigma = scheduler.sigmas[step].double()
    if name.startswith(("EDM", *EXPLODING)):
        return Level(torch.ones(()), sigma)
    if name in NO_BETAS or scheduler.config.get("use_flow_sigmas"):
        return Level(1 - sigma, sigma)
    return Level(1 / torch.sqrt(1 + sigma**2), sigma / torch.sqrt(1 + sigma**2))


def answer(scheduler: Any, x: Tensor, mean: Tensor, level: Level) -> Tensor:
    """The mean in the terms that the scheduler wants its network's output in."""
    name, alpha, sigma = type(scheduler).__name__, level.alpha, level.sigma
    if name.startswith("EDM"):
        spread = scheduler.config["sigma_data"]
        both = sigma**2 + spread**2
        return (mean - spread**2 / both * x) / (sigma * spread / both.sqrt())
    if name in NO_BETAS:
        return (x - mean) / sigma
    if scheduler.config.get("prediction_type") == "sample":
        return mean
    return (x - alpha * mean) / sigma


def started(scheduler: Any, noise: Tensor) -> Tensor:
    """Noise as the scheduler scales it; for exploding ones the marginal of unit-variance data."""
    if type(scheduler).__name__.startswith(("EDM", *EXPLODING)):
        return noise * math.hypot(1.0, float(scheduler.sigmas[0]))
    return noise


def endpoint(peer: Peer, kind: str, denoise: Denoiser, noise: Tensor, calls: int) -> Tensor | None:
    """x0 (b, d) after at most `calls` evaluations; None where it fails or cannot be so short."""
    scheduler, steps = peer.scheduler(kind), calls
    while steps > 0:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.set_timesteps(steps)
        if len(scheduler.timesteps) <= calls:
            break
        steps -= 1
    if steps == 0:
        return None
    if "DDIM" not in peer.name and "PNDM" not in peer.name:
        scheduler.set_begin_index(0)
    x = started(scheduler, noise)[:, :, None, None]
    for t in scheduler.timesteps:
        level = level_of(scheduler, t)
        mean = denoise(x, level)
        scheduler.is_scale_input_called = True  # x is scaled by the denoiser itself
        x = scheduler.step(answer(scheduler, x, mean, level), t, x).prev_sample
    return x[:, :, 0, 0].double() if bool(x.isfinite().all()) else None
