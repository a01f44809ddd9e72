"""Models that come with the package, known by their names; `unmist pack` makes such a folder."""

from pathlib import Path

from unmist.base.faults import BadInput

__all__ = ["MODELS", "home_of", "refuse_shipped", "shipped"]

MODELS = Path(__file__).parents[1] / "models"
_RECIPE = "recipe.toml"


def shipped() -> tuple[str, ...]:
    """Their names."""
    return tuple(sorted(path.parent.name for path in MODELS.glob(f"*/{_RECIPE}")))


def home_of(folder: Path) -> Path:
    """The folder, or that of the shipped model (or its student) it names where it holds no run.

    `emoji` and `emoji/student-2` are such names.
    """
    name = folder.as_posix()
    if (folder / _RECIPE).is_file() or folder.is_absolute() or ".." in folder.parts:
        return folder
    home = MODELS / name
    return home if (home / _RECIPE).is_file() else folder


def refuse_shipped(folder: Path) -> None:
    """BadInput where something would be left in the folder of a shipped model."""
    if folder.resolve().is_relative_to(MODELS.resolve()):
        name = folder.resolve().relative_to(MODELS.resolve()).as_posix()
        mend = f"copy it first: unmist pack {name} --to FOLDER"
        raise BadInput("came with unmist and is left as it is", where=name, mend=mend)
