"""The best weights of a run, by a score measured during it."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from unmist.base import files
from unmist.run.weights import write_weights

__all__ = ["BEST", "Best", "keep_best"]

BEST = Path("weights") / "best.safetensors"
HIGHER = ("coverage",)


@dataclass(frozen=True)
class Best:
    """After how many samples which score was best, and what it was."""

    seen: int
    by: str
    value: float

    def beaten(self, value: float) -> bool:
        """Whether a value is better; one that is not a number never is."""
        better = value > self.value if self.by in HIGHER else value < self.value
        return math.isfinite(value) and better

    @staticmethod
    def from_plain(data: object) -> "Best | None":
        """From plain values; None where nothing was measured."""
        if not isinstance(data, dict):
            return None
        return Best(int(data["seen"]), str(data["by"]), float(data["value"]))


def keep_best(folder: Path, best: Best, tensors: dict[str, Tensor], scores: object) -> None:
    """Write the weights, then `best.json` with their digest and scores, each whole or not at all.

    A run killed in between repeats the measure when it goes on, and writes the same bytes.
    """
    (folder / BEST).parent.mkdir(exist_ok=True)
    digest = write_weights(folder / BEST, tensors)
    table = {**asdict(best), "sha256": digest, "scores": scores}
    files.write_json((folder / BEST).with_suffix(".json"), table)
