"""Train, steer, edit with, measure and responsibly publish diffusion models on your own data.

The names below are the public ones; each is loaded when it is first asked for, so that
`import unmist` costs nothing. Everything else lives in its room and may move.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unmist.base.faults import Fault as Fault
    from unmist.base.noise import Noise as Noise
    from unmist.core.condition import Cond as Cond
    from unmist.core.denoiser import Chunked as Chunked
    from unmist.core.denoiser import NetDenoiser as NetDenoiser
    from unmist.core.exact import Gaussian as Gaussian
    from unmist.core.exact import Mixture as Mixture
    from unmist.core.exact import Points as Points
    from unmist.core.level import DATA as DATA
    from unmist.core.level import NOISE as NOISE
    from unmist.core.level import Level as Level
    from unmist.core.level import noised as noised
    from unmist.core.plan import Plan as Plan
    from unmist.core.plan import Renoise as Renoise
    from unmist.core.plan import Step as Step
    from unmist.core.walk import serve as serve
    from unmist.core.walk import trace as trace
    from unmist.core.walk import walk as walk
    from unmist.data.opening import open_data as open_data
    from unmist.run.model import load as load
    from unmist.run.recipe import Recipe as Recipe
    from unmist.run.recipe import predictions as predictions
    from unmist.run.recipe import schedules as schedules
    from unmist.run.recipe import solvers as solvers
    from unmist.workflows.distill import distill as distill
    from unmist.workflows.doctor import doctor as doctor
    from unmist.workflows.edit import inpaint as inpaint
    from unmist.workflows.edit import restore as restore
    from unmist.workflows.edit import upscale as upscale
    from unmist.workflows.edit import vary as vary
    from unmist.workflows.edit_extend import extend as extend
    from unmist.workflows.edit_translate import translate as translate
    from unmist.workflows.evaluate import evaluate as evaluate
    from unmist.workflows.look import look as look
    from unmist.workflows.publish import publish as publish
    from unmist.workflows.sample import sample as sample
    from unmist.workflows.train import train as train
    from unmist.workflows.tune import tune as tune
    from unmist.workflows.verify import verify as verify

# A family is full once the recipe's module has loaded all its members.
_ROOMS = {
    "base.faults": ("Fault",),
    "base.noise": ("Noise",),
    "core.condition": ("Cond",),
    "core.denoiser": ("Chunked", "NetDenoiser"),
    "core.exact": ("Gaussian", "Mixture", "Points"),
    "core.level": ("DATA", "NOISE", "Level", "noised"),
    "core.plan": ("Plan", "Renoise", "Step"),
    "core.walk": ("serve", "trace", "walk"),
    "data.opening": ("open_data",),
    "run.model": ("load",),
    "run.recipe": ("Recipe", "predictions", "schedules", "solvers"),
    "workflows.distill": ("distill",),
    "workflows.doctor": ("doctor",),
    "workflows.edit": ("inpaint", "restore", "upscale", "vary"),
    "workflows.edit_extend": ("extend",),
    "workflows.edit_translate": ("translate",),
    "workflows.evaluate": ("evaluate",),
    "workflows.look": ("look",),
    "workflows.publish": ("publish",),
    "workflows.sample": ("sample",),
    "workflows.train": ("train",),
    "workflows.tune": ("tune",),
    "workflows.verify": ("verify",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_ROOM_OF)  # noqa: PLE0605 - a list, made from the table above


def __getattr__(name: str) -> object:
    """Load a public name from its room; kept, so the second time costs nothing."""
    if name == "__version__":
        from importlib.metadata import version

        return version("unmist")
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'unmist' has no attribute '{name}'")
    globals()[name] = value = getattr(import_module(f"unmist.{_ROOM_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
