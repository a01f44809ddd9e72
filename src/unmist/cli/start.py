"""`unmist start`: the whole way at once, on real data that come with the package."""

from pathlib import Path
from typing import TYPE_CHECKING

from unmist.cli.flags import recipe_of, seconds
from unmist.cli.output import emit, note
from unmist.cli.progress import clock, follow
from unmist.cli.sample import drawn

if TYPE_CHECKING:
    from unmist.run.model import Model
    from unmist.workflows.order import Order

__all__ = ["start"]

COUNT = 64


def start(
    *, data: str = "digits", to: Path | None = None, budget: str = "6m", seed: int = 0,
    fresh: bool = False, json: bool = False,
) -> int:  # fmt: skip
    """Train on real digits, draw samples and an animation of the denoising, write a model card.

    Stopped at any moment, the same command goes on. Ends about a minute after the budget.

    Parameters
    ----------
    to
        The folder of it all (default: unmist- and the name of the data).
    data
        A built-in set, a folder of pictures, an .npz or .npy file.
    budget
        How long to train, as in 6m.
    seed
        Of everything random.
    fresh
        Set an earlier run in the folder aside and begin anew.
    json
        Print lines of JSON on stdout instead of progress.
    """
    from unmist.run.card import write_card
    from unmist.run.model import load
    from unmist.workflows.order import Order

    folder, told = to or Path(f"unmist-{Path(data).stem}"), _quiet if json else note
    told(f"1 of 3: training on {data} for {clock(seconds(budget))}, in {folder}")
    _train(data, folder, Order(budget=seconds(budget), fit=True, fresh=fresh), seed, json=json)
    told(f"2 of 3: drawing {COUNT} samples")
    places = {"model": folder, **_drawings(load(folder), folder, seed)}
    told("3 of 3: writing the model card")
    places["card"] = write_card(folder)
    if json:
        emit({"finished": True, **places})
    else:
        print("\n".join(f"{name:10} {path}" for name, path in places.items()))
    return 0


def _quiet(line: str) -> None:
    """Where programs listen, the steps are not told."""


def _train(data: str, folder: Path, order: "Order", seed: int, *, json: bool) -> None:
    from unmist.data.opening import located
    from unmist.workflows.train import training

    recipe = recipe_of(data, None, None, {"training.seed": seed})
    located(data)  # before a folder is made for the run
    follow(training(recipe, folder, order), json=json)


def _drawings(model: "Model", folder: Path, seed: int) -> dict[str, Path]:
    from unmist.workflows.gallery import save_denoising, save_samples
    from unmist.workflows.sample import Shot

    shot = Shot(count=COUNT, seed=seed)
    samples = drawn(model, shot, film=True)
    written = save_samples(samples, shot, folder / "samples")
    film = save_denoising(samples, folder / "samples" / "denoising.webp")
    assert written.grid is not None
    return {"grid": written.grid, "animation": film, "samples": folder / "samples"}
