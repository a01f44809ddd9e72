"""Which features judge: named by a few words, opened alike in every process."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.data.dataset import DataSet
from unmist.metrics.features import ClassifierFeatures, Features
from unmist.metrics.inception_net import InceptionFeatures
from unmist.workflows.judges import judge_of, judged

__all__ = ["CLASSIFIER", "Judge", "judged", "names_classes", "probabilities"]

CLASSIFIER = "classifier"


@dataclass(frozen=True)
class Judge:
    """Features by their words, and where a classifier that was taught on the data is kept."""

    words: str
    keep: Path | None

    def open(self, data: DataSet) -> Features:
        """Taught or fetched the first time, read afterwards. Raises BadInput."""
        if self.words == CLASSIFIER and self.keep is not None:
            with suppress(BadInput):
                return judge_of(self.words, data, self.keep)
            for damaged in self.keep.glob(f"judge_{data.fingerprint[:16]}*"):
                files.remove(damaged)
        return judge_of(self.words, data, self.keep)


def probabilities(features: Features, found: Tensor) -> Tensor | None:
    """Class probabilities (n, k) of pictures by their features (n, d); None without classes."""
    if isinstance(features, InceptionFeatures) or names_classes(features):
        assert isinstance(features, InceptionFeatures | ClassifierFeatures)
        return features.probabilities_of(found)
    return None


def names_classes(features: Features) -> bool:
    """Whether their classes are the data's own."""
    return isinstance(features, ClassifierFeatures) and features.learned == "labels"
