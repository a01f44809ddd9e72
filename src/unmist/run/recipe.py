"""A recipe: the settings of a run, a tree of the parts' own dataclasses, and its file."""

import math
import re
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds, did_you_mean
from unmist.codecs import latent as _latent  # noqa: F401 - fills the family
from unmist.codecs import pixels as _pixels  # noqa: F401
from unmist.codecs.bottleneck import Bottleneck, bottlenecks
from unmist.codecs.family import Codec, codecs
from unmist.conditions import image as _image  # noqa: F401 - fills the family
from unmist.conditions import label as _label  # noqa: F401
from unmist.conditions import number as _number  # noqa: F401
from unmist.conditions import remainder as _remainder  # noqa: F401
from unmist.conditions import small as _small  # noqa: F401
from unmist.conditions import text as _text  # noqa: F401
from unmist.conditions.family import Condition, conditions
from unmist.core import fitted as _fitted  # noqa: F401 - fills the family
from unmist.core import schedules as _schedules  # noqa: F401
from unmist.core import table as _table  # noqa: F401
from unmist.core import unipc as _unipc  # noqa: F401
from unmist.core.default import default_solver, default_spacing
from unmist.core.objective import Draw, LogNormal, Objective, Simple, Weighting, draws, weightings
from unmist.core.plan import Plan, ancestral, churn, descend, langevin
from unmist.core.prediction import Edm, Prediction, predictions
from unmist.core.schedule import Schedule, schedules
from unmist.core.schedules import Exploding
from unmist.core.solver import Solver, solvers
from unmist.core.spacing import Spacing, spacings
from unmist.core.variance import Fixed, Variance, variances
from unmist.guidance.guide import Guide
from unmist.networks.dit import DiT
from unmist.networks.family import Network, networks
from unmist.networks.unet import UNet
from unmist.run.plain import from_plain, migrated, set_path, to_plain
from unmist.run.toml import read_toml, toml_text
from unmist.training.augment import Augment
from unmist.training.distill import Student
from unmist.training.ema import Average, Snapshots
from unmist.training.guard import Guard
from unmist.training.loop import Schooling
from unmist.training.optimizer import AdamW
from unmist.training.reconstruct import Coding

__all__ = [
    "EDITS",
    "FAMILIES",
    "Data",
    "Measuring",
    "Recipe",
    "Sampling",
    "altered",
    "mirrors",
    "read_recipe",
    "sized",
    "write_recipe",
]

FORMAT = 2

FAMILIES: dict[type, Kinds] = {
    Schedule: schedules,
    Prediction: predictions,
    Draw: draws,
    Weighting: weightings,
    Network: networks,
    Solver: solvers,
    Spacing: spacings,
    Variance: variances,
    Condition: conditions,
    Codec: codecs,
    Bottleneck: bottlenecks,
}

SCORES = ("frechet", "coverage", "held")
EDITS = {  # numbers that edit a plan, and the most that makes sense of each
    "eta": 1,
    "churn": 1_000_000,
    "churn_low": 1_000_000,
    "churn_high": 1_000_000,
    "churn_gain": 10,
    "langevin": 1000,
}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
SIZES = {"tiny": 16, "small": 32, "medium": 64, "large": 128}  # the width of a U-Net
DEPTHS = {"tiny": (64, 4), "small": (128, 4), "medium": (192, 6), "large": (384, 6)}  # of a DiT


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is learned: a folder, an array file or a built-in set, and how pictures are fitted.

    size: edge in pixels (0: measured); channels: 1 or 3 (0: measured); fit: crop or pad;
    background: the colour under transparent pixels; frames: of a clip, where the folder holds clips
    (0: videos give 16), or steps of a window, where an .npy holds series; on_bad: "stop" where a
    file of a folder cannot be used, or "skip" to train without it.
    """

    source: str = "digits"
    size: int = 0
    channels: int = 0
    fit: str = "crop"
    background: str = "white"
    on_bad: str = "stop"
    frames: int = 0

    def __post_init__(self) -> None:
        if self.on_bad not in (known := ["stop", "skip"]):
            mend = did_you_mean(self.on_bad, known)
            raise BadInput(f"no choice '{self.on_bad[:40]}' for on_bad", where="data", mend=mend)


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the model is sampled where nothing else is said; looks are drawn without the edits.

    eta: 0 deterministic (DDIM) … 1 ancestral (DDPM), whose other variance is `larger`; churn: EDM's
    S_churn, from sigma/alpha churn_low to churn_high (0: no limit), its noise times churn_gain;
    langevin: corrections after each step, an evaluation each; guide: how samples are led to what is
    wished.
    """

    steps: int = 20
    solver: Solver = field(default_factory=default_solver)
    spacing: Spacing = field(default_factory=default_spacing)
    eta: float = 0.0
    larger: bool = False
    churn: float = 0.0
    churn_low: float = 0.0
    churn_high: float = 0.0
    churn_gain: float = 1.0
    langevin: int = 0
    guide: Guide = field(default_factory=Guide)

    def __post_init__(self) -> None:
        for name, most in EDITS.items():
            value = getattr(self, name)
            if not 0 <= value <= most:
                raise BadInput(f"{name} is {value}", where="sampling", mend=f"0 … {most}")
        if self.larger and self.eta != 1:
            what = f"the larger variance belongs to eta = 1, and eta is {self.eta:g}"
            raise BadInput(what, where="sampling", mend="set eta=1 too, or larger=false")

    def plan(self, schedule: Schedule) -> Plan:
        """The steps with what is asked for around them."""
        plan = descend(self.spacing(schedule, self.steps))
        plan = ancestral(plan, self.eta, larger=self.larger)
        high = self.churn_high or math.inf
        plan = churn(plan, self.churn, low=self.churn_low, high=high, gain=self.churn_gain)
        return langevin(plan, times=self.langevin)


@dataclass(frozen=True, kw_only=True)
class Saving:
    """When the run writes: checkpoints and looks, in samples seen (0: chosen from the length)."""

    checkpoint: int = 0
    look: int = 0
    held: int = 0


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """Samples drawn and measured during training, at fixed seeds.

    every: samples seen between two measures (0: chosen, three to eight measures where drawing them
    costs 2 % of the run, else never; -1: never); samples: how many are drawn, in `steps` steps;
    best: the score by which the best weights are kept: frechet, coverage or held.
    """

    every: int = 0
    samples: int = 256
    steps: int = 12
    best: str = "frechet"

    def __post_init__(self) -> None:
        if self.every < -1 or self.samples < 50 or self.steps < 1:
            mend = "every -1 or more, 50 samples or more, 1 step or more"
            raise BadInput(f"{self}", where="measuring", mend=mend)
        if self.best not in SCORES:
            mend = did_you_mean(self.best, list(SCORES))
            raise BadInput(f"no score '{self.best}'", where="measuring", mend=mend)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything needed to repeat a run. `shape` and `codec` are measured when it starts.

    conditions: what the network is told of each sample, by name, and what is open in them; coding:
    how the codec is taught, where it is one of latents (None: as by default); time: whether the
    first axis of a sample is time, measured too; rolling: the share of clips whose frames have a
    noise level each in training, 0 … 1, for `edit extend --method rolling`.
    """

    data: Data = field(default_factory=Data)
    schedule: Schedule = field(default_factory=lambda: Exploding(sigma_min=0.01))
    prediction: Prediction = field(default_factory=Edm)
    draw: Draw = field(default_factory=LogNormal)
    weighting: Weighting = field(default_factory=Simple)
    variance: Variance = field(default_factory=Fixed)
    network: Network = field(default_factory=UNet)
    conditions: dict[str, Condition] = field(default_factory=dict)
    optimizer: AdamW = field(default_factory=AdamW)
    average: Average = field(default_factory=Average)
    training: Schooling = field(default_factory=Schooling)
    augment: Augment = field(default_factory=Augment)
    guard: Guard = field(default_factory=Guard)
    sampling: Sampling = field(default_factory=Sampling)
    saving: Saving = field(default_factory=Saving)
    measuring: Measuring = field(default_factory=Measuring)
    snapshots: Snapshots = field(default_factory=Snapshots)
    student: Student | None = None
    shape: tuple[int, ...] = ()
    codec: Codec | None = None
    coding: Coding | None = None
    time: bool = False
    rolling: float = 0.0

    @property
    def inner(self) -> tuple[int, ...]:
        """The shape (k, *s) of a sample in model space, which the network is built for."""
        return self.shape if self.codec is None else self.codec.inner(self.shape)

    @property
    def objective(self) -> Objective:
        """What training minimises."""
        return Objective(self.schedule, self.prediction, self.draw, self.weighting, self.variance)


def mirrors(recipe: Recipe) -> bool:
    """Whether the model was shown its pictures mirrored too."""
    return recipe.training.flip or recipe.augment.share > 0


def sized(recipe: Recipe, size: str) -> Recipe:
    """The one dial: the width of a U-Net, the width and depth of a DiT of about its parameters."""
    if size not in SIZES:
        raise BadInput(f"no size '{size}'", where="--size", mend=did_you_mean(size, list(SIZES)))
    match recipe.network:
        case UNet():
            network: Network = replace(recipe.network, width=SIZES[size])
        case DiT():
            width, depth = DEPTHS[size]
            network = replace(recipe.network, width=width, depth=depth)
        case _:
            what = "is for a U-Net or a DiT"
            raise BadInput(what, where="--size", mend="set the network's own values")
    return replace(recipe, network=network)


def altered(recipe: Recipe, settings: dict[str, object]) -> Recipe:
    """The recipe with values set by dotted path, as `--set network.width=96` asks."""
    table = to_plain(recipe, FAMILIES)
    for path, value in settings.items():
        table = set_path(table, path, value)
        if isinstance(value, str):  # it may have named a part: what is inside can be set then
            with suppress(BadInput):
                table = to_plain(from_plain(table, Recipe, FAMILIES), FAMILIES)
    return checked(_opened_as(from_plain(table, Recipe, FAMILIES), recipe))


def _opened_as(recipe: Recipe, before: Recipe) -> Recipe:
    """A table holds no weights: the codec's own come back where it is still the same."""
    return replace(recipe, codec=before.codec) if recipe.codec == before.codec else recipe


def checked(recipe: Recipe) -> Recipe:
    """The recipe, if its numbers can be used together; BadInput with the path of what cannot."""
    plan = recipe.training
    if plan.batch < 1 or plan.samples < 1:
        raise BadInput("training.batch and training.samples must be 1 or more", where="recipe")
    if plan.micro and plan.batch % plan.micro:
        raise BadInput(
            f"training.micro {plan.micro} does not divide training.batch {plan.batch}",
            where="recipe",
            mend="choose a divisor, or 0",
        )
    if not 0 <= plan.drop <= 1 or not 0 <= plan.seed < 2**63:
        raise BadInput("training.drop lies in 0 … 1, training.seed in 0 … 2^63-1", where="recipe")
    _check_rolling(recipe)
    if recipe.sampling.steps < 1:
        raise BadInput(f"sampling.steps {recipe.sampling.steps}", where="recipe", mend="1 or more")
    for name in recipe.conditions:
        if not _NAME.fullmatch(name) or name == Augment.name:
            mend = "small letters, digits and _, up to 32; augment is taken"
            raise BadInput(f"no name for a condition: '{name[:40]}'", where="recipe", mend=mend)
    whole = math.ceil(plan.samples / plan.batch) * plan.batch
    return replace(recipe, training=replace(plan, samples=whole))


def _check_rolling(recipe: Recipe) -> None:
    if not 0 <= recipe.rolling <= 1:
        raise BadInput(f"rolling is {recipe.rolling}", where="recipe", mend="0 … 1")
    if recipe.rolling and not isinstance(recipe.network, UNet):
        mend = "set network=unet, or leave rolling out"
        raise BadInput("only a U-Net knows a level a frame", where="rolling", mend=mend)


def _named_codec(table: dict[str, object]) -> dict[str, object]:
    """Format 1 knew pixels only, and did not say so."""
    codec = table.get("codec")
    return {**table, "codec": {"kind": "pixels", **codec}} if isinstance(codec, dict) else table


def write_recipe(path: Path, recipe: Recipe) -> None:
    """All defaults written out, whole or not at all."""
    files.write_text(path, toml_text({"format": FORMAT, **to_plain(recipe, FAMILIES)}))


def read_recipe(path: Path) -> Recipe:
    """Strictly: wrong keys and types are refused with their path."""
    table = migrated(read_toml(path), FORMAT, {1: _named_codec}, path=str(path))
    return checked(from_plain(table, Recipe, FAMILIES))
