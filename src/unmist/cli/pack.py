"""`unmist pack`."""

from pathlib import Path

from unmist.base.machine import in_bytes
from unmist.cli.output import emit, note

__all__ = ["pack"]


def pack(
    model: Path, /, *, to: Path, half: bool = False, weights: str = "last", json: bool = False
) -> int:
    """Copy a model alone, with its students and its card, to be given away.

    Parameters
    ----------
    model
        The folder that `unmist train` wrote, or the name of a model that comes with unmist.
    to
        A new folder.
    half
        Store weights as float16, in half the space; tune and evaluate the copy afterwards.
    weights
        Which of the model's: last, best (measured during training), averaged-WIDTH.
    json
        Print one JSON object on stdout.
    """
    from unmist.workflows.pack import pack as packed

    made = packed(model, to, half=half, weights=weights)
    if json:
        emit(made)
        return 0
    for name in made.left:
        note(f"{name} belongs to other weights and was left behind")
    students = f", with {', '.join(made.students)}" if made.students else ""
    print(f"{made.folder}: {in_bytes(made.bytes)}{students}")
    return 0
