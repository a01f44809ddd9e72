"""The plans fitted to a model, `tuned.json` beside its recipe: read strictly, by weights' hash."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.core.default import default_solver, default_spacing
from unmist.core.solver import Solver
from unmist.core.spacing import Spacing
from unmist.guidance.guide import Guide
from unmist.run.plain import from_plain, to_plain
from unmist.run.recipe import EDITS, FAMILIES, Sampling

__all__ = ["TUNED", "Tuned", "keep_tuned", "tuned_of", "with_tuned"]

TUNED = "tuned.json"
MOST = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What fitting found for one number of steps; errors as means over held-out seeds.

    what: "levels", "levels and gains", or "plain" where neither was better beyond two standard
    errors (`doubt`) of the paired difference `gap`; then solver and spacing are the plain ones.
    error, plain: root mean square distance from the model's own fine solution, in model space;
    guide: how samples were led meanwhile.
    """

    steps: int
    what: str
    error: float
    plain: float
    gap: float
    doubt: float
    seeds: int
    solver: Solver = field(default_factory=default_solver)
    spacing: Spacing = field(default_factory=default_spacing)
    guide: Guide = field(default_factory=Guide)

    @property
    def better(self) -> bool:
        """Whether there is anything to use."""
        return self.what != "plain"


def tuned_of(folder: Path, digest: str) -> dict[int, Tuned]:
    """By the number of steps, for the weights of that hash; nothing where nothing was fitted.

    Raises BadInput where the file is not what `unmist tune` writes.
    """
    found = {}
    for steps, entry in _read(folder).get(digest, {}).items():
        part = from_plain(entry, Tuned, FAMILIES, f"{TUNED}.{steps}")
        found[part.steps] = part
    return found


def keep_tuned(folder: Path, digest: str, new: Tuned) -> None:
    """Add one, in place of an earlier one for as many steps; what other weights have stays."""
    table = _read(folder)
    entries = {**table.get(digest, {}), str(new.steps): to_plain(new, FAMILIES)}
    ordered = dict(sorted(entries.items(), key=lambda item: int(item[0])))
    files.write_json(folder / TUNED, {"format": 1, "weights": {**table, digest: ordered}})


def with_tuned(chosen: Sampling, folder: Path, digest: str) -> Sampling:
    """The sampling with the plan fitted for as many steps, where there is one and no edits.

    chosen: with its whole guide; a plan fitted under another is not used.
    """
    default = Sampling()
    if any(getattr(chosen, name) != getattr(default, name) for name in EDITS):
        return chosen  # fitted for plans of steps alone
    entry = tuned_of(folder, digest).get(chosen.steps)
    if entry is None or not entry.better or entry.guide != chosen.guide:
        return chosen
    return replace(chosen, solver=entry.solver, spacing=entry.spacing)


def _read(folder: Path) -> dict[str, dict[str, object]]:
    path = folder / TUNED
    if not path.exists():
        return {}
    told = files.parse_json(files.read_bytes(path, most=MOST), where=path)
    table = told.get("weights") if isinstance(told, dict) and told.get("format") == 1 else None
    if not isinstance(table, dict) or not all(isinstance(part, dict) for part in table.values()):
        mend = "delete it, and run unmist tune again"
        raise BadInput("is not what unmist tune writes", where=path, mend=mend)
    return table
