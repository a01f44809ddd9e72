"""`unmist train`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from unmist.base.machine import in_bytes
from unmist.cli.flags import coded_by, kinds_of, recipe_of, seconds, settings_of, with_codec_of
from unmist.cli.output import emit, note
from unmist.cli.progress import clock, follow

if TYPE_CHECKING:
    from unmist.run.recipe import Recipe
    from unmist.workflows.train import Estimate, Order

__all__ = ["Way", "What", "show", "train"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class What:
    """What to train.

    Parameters
    ----------
    recipe
        A recipe file (TOML) to begin from.
    size
        tiny, small, medium or large: the one dial of the network. Where nothing is said of the
        network, a short --budget gets a narrower one.
    set
        One setting of the recipe, as in network.width=96; may be repeated.
    on
        What the model is told of each sample: label (its class), text (its caption), image (the
        picture given with it), small (itself at a low resolution), remainder (itself with a part
        hidden, for inpainting), or the name of a column of numbers; several with commas. Details
        by --set, as in conditions.text.layers=1.
    codec
        Teach in latents: kl or vq, whose codec is taught first, or a run or codec folder whose
        codec is used. Details by --set, as in codec.factor=8 or coding.samples=20000.
    seed
        Of everything random.
    """

    recipe: Path | None = None
    size: str | None = None
    set: tuple[str, ...] = ()
    on: str = ""
    codec: str = ""
    seed: int | None = None

    @property
    def fit(self) -> bool:
        """Whether nothing was said of the network, so that a budget may choose its width."""
        named = any(pair.split("=")[0].strip().startswith("network") for pair in self.set)
        return self.recipe is None and self.size is None and not named

    def recipe_for(self, data: str | None) -> "Recipe":
        """The recipe these flags ask for. Raises BadInput."""
        seed = {} if self.seed is None else {"training.seed": self.seed}
        told = {**seed, **kinds_of(self.on), **coded_by(self.codec), **settings_of(self.set)}
        return with_codec_of(recipe_of(data, self.recipe, self.size, told), self.codec)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Way:
    """How to go about it.

    Parameters
    ----------
    to
        The run's folder (default: runs/ and the name of the data).
    budget
        How long to train, as in 10m; turned into a number of samples once.
    start
        A trained model (or its folder) to begin from.
    fresh
        Set an earlier run in the folder aside and begin anew.
    accept
        Go on although something changed since the run began: drift (the data) or rounding
        (torch or the processor); may be repeated.
    """

    to: Path | None = None
    budget: str | None = None
    start: Annotated[Path | None, Parameter(name="--from")] = None
    fresh: bool = False
    accept: tuple[str, ...] = ()

    def order(self, *, fit: bool = False) -> "Order":
        """For the workflow; fit: the network may be. Raises BadInput."""
        from unmist.base.faults import BadInput
        from unmist.base.kinds import did_you_mean
        from unmist.workflows.train import Order

        for word in self.accept:
            if word not in ("drift", "rounding"):
                mend = did_you_mean(word, ["drift", "rounding"])
                raise BadInput(f"'{word[:40]}' cannot be accepted", where="--accept", mend=mend)
        return Order(
            budget=None if self.budget is None else seconds(self.budget),
            fit=fit and self.start is None,
            start=self.start,
            fresh=self.fresh,
            accept_drift="drift" in self.accept,
            accept_rounding="rounding" in self.accept,
        )


def train(
    data: str | None = None,
    /,
    *,
    what: What | None = None,
    way: Way | None = None,
    classifier: Path | None = None,
    plan: bool = False,
    json: bool = False,
) -> int:
    """Train a model; the same command goes on with a run that was stopped.

    Parameters
    ----------
    data
        A folder of pictures, an .npz or .npy file, a built-in set: digits, emoji, shapes, solids …
    classifier
        A trained model: teach it a classifier of noisy samples on its own data, for
        `sample --set guide.classifier=2`; of the other flags --budget and --fresh count.
    plan
        Say what it would take, from a few measured steps, and do nothing.
    json
        Print lines of JSON on stdout instead of progress.
    """
    from unmist.data.opening import located
    from unmist.workflows.train import planned, training

    what, way = what or What(), way or Way()
    if classifier is not None:
        return _classifier(classifier, way.order(), alone=data is None, json=json)
    order, recipe = way.order(fit=what.fit), what.recipe_for(data)
    located(recipe.data.source)  # before a folder is made for the run
    if plan:
        show(planned(recipe, order), json=json)
        return 0
    to = way.to or Path("runs") / Path(recipe.data.source).stem
    if not json:
        note(f"training on {recipe.data.source} in {to}")
    follow(training(recipe, to, order), json=json)
    return _finished(to, f"the model is in {to}; next: unmist sample {to}", json=json)


def _finished(model: Path, line: str, *, json: bool) -> int:
    """The last word of a training."""
    if json:
        emit({"finished": True, "model": model})
    else:
        note(line)
    return 0


def _classifier(model: Path, order: "Order", *, alone: bool, json: bool) -> int:
    """Teach the classifier of a run."""
    from unmist.base.faults import BadInput
    from unmist.workflows.classifying import classifying

    if not alone:
        mend = "leave the data out: it is taught on those of the model"
        raise BadInput("two things to train", where="--classifier", mend=mend)
    follow(classifying(model, order), json=json)
    return _finished(model, f"next: unmist sample {model} --set guide.classifier=2", json=json)


def show(estimate: "Estimate", *, json: bool) -> None:
    """What `--plan` says of a run."""
    from unmist.networks.unet import UNet
    from unmist.workflows.planning import needed

    if json:
        emit({key: value for key, value in asdict(estimate).items() if key != "recipe"})
        return
    print(
        f"{estimate.samples} samples in {clock(estimate.seconds)} at {estimate.speed:.0f} a second"
    )
    net = estimate.recipe.network
    wide = f" at width {net.width}" if isinstance(net, UNet) else ""
    print(f"{estimate.parameters} parameters{wide}, samples of shape {estimate.recipe.shape}")
    weights, call = needed(estimate.recipe)
    print(f"memory by count {in_bytes(weights)} for weights, {in_bytes(call)} for a network call")
    print(f"memory {in_bytes(estimate.memory)}, disk {in_bytes(estimate.disk)}")
    print("nothing was written")
