"""`unmist evaluate`."""

from pathlib import Path

from unmist.cli.output import emit

__all__ = ["evaluate"]


def evaluate(model: Path, /, *, count: int = 1000, seed: int = 1, json: bool = False) -> int:
    """Measure a model against the held-out part of its data; leaves scores.json in its folder.

    Parameters
    ----------
    model
        The folder that `unmist train` wrote.
    count
        How many samples to draw.
    seed
        Of the samples.
    json
        Print one JSON object on stdout.
    """
    from unmist.run.model import load
    from unmist.workflows.evaluate import evaluate as measure
    from unmist.workflows.sample import Shot

    scores = measure(load(model), Shot(count=count, seed=seed))
    if json:
        emit(scores.plain())
        return 0
    found = scores.diversity
    print(scores.frechet)
    print(
        f"coverage {found.coverage:.3f}, density {found.density:.3f}, "
        f"precision {found.precision:.3f}, recall {found.recall:.3f}"
    )
    print(scores.copies)
    if scores.judge_accuracy is not None:
        print(
            f"the classifier behind the features names {scores.judge_accuracy:.1%} of the "
            "held-out pictures right"
        )
    return 0
