"""`look`: what a thing is, told by what it is."""

from pathlib import Path

from unmist.base.faults import BadInput
from unmist.data.builtin import BUILT_IN
from unmist.data.opening import located
from unmist.run.picture import read_settings
from unmist.workflows.look_data import DataLook, look_data
from unmist.workflows.look_run import RunLook, look_run

__all__ = ["PictureLook", "look"]

ARRAYS = (".npy", ".npz")
PictureLook = dict[str, object]


def _is_file(path: Path) -> bool:
    """Also of names that no file can have: too long, or with a zero byte."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def look(
    what: str | Path, to: Path | None = None, *, cache: Path | None = None
) -> DataLook | RunLook | PictureLook:
    """Look at a data set (by name, folder or array file), a run's folder, or a picture's settings.

    to: for a data set the name of the contact sheet (default: NAME-sheet.png here), for a run the
    folder of the pictures (default: its looks/). Raises BadInput, CannotWrite.
    """
    path = Path(what)
    if str(what) in BUILT_IN:
        return look_data(str(what), to or Path(f"{what}-sheet.png"), cache=cache)
    if _is_file(path / "recipe.toml"):
        return look_run(path, to or path / "looks")
    if _is_file(path) and path.suffix.lower() not in ARRAYS:
        return read_settings(path)
    if to is not None and to.suffix.lower() != ".png":
        raise BadInput("is no name for a contact sheet", where=to, mend="end it in .png")
    located(what)
    return look_data(str(what), to or Path(f"{path.resolve().stem}-sheet.png"), cache=cache)
