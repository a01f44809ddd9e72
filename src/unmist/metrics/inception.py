"""How sure a classifier is of each sample, and how varied its answers are (Salimans et al. 2016,
1606.03498, section 4): exp of the mean KL divergence from each answer to the mean answer.

It sees neither copies nor what lies within a class, and it knows no real pictures.
"""

from math import exp, sqrt

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.metrics.estimate import Estimate

__all__ = ["inception_score", "split_score"]


def split_score(probabilities: Tensor, splits: int = 10, *, seed: int = 0) -> float:
    """The published form: the mean score of `splits` random parts of rows (n, k) that sum to 1.

    Lower than the score of infinitely many samples by about score * (k - 1) * splits / (2 n).
    """
    p = _checked(probabilities, splits)
    order = torch.from_numpy(keyed(seed, "splits").permutation(len(p)))
    scores = [exp(float(_surprise(part).mean())) for part in p[order].tensor_split(splits)]
    return sum(scores) / splits


def inception_score(probabilities: Tensor, *, features: str, splits: int = 10) -> Estimate:
    """The score of infinitely many samples, in [1, k], from rows (n, k) that sum to 1.

    The bias of n samples is taken away by the delta method, to second order; the interval counts
    the influence of rows and that of pairs, which remains where every answer is sure and all are
    equally frequent. Classes that no sample met are not guessed. `method` tells the published form.
    """
    p = _checked(probabilities, splits)
    n, k = p.shape
    surprise = _surprise(p)
    mean = p.mean(0)
    met = mean > 0
    scaled = (p[:, met] - mean[met]) / mean[met].sqrt()
    spread = scaled.T @ scaled / (n - 1)
    trace = float(spread.trace())
    pairs = max(0.0, float(spread.square().sum()) - trace**2 / n)
    single = max(0.0, float(surprise.var()) / n - pairs / n**2)
    variance = single + pairs / (2 * n**2)
    log_score = float(surprise.mean()) + trace / (2 * n)
    value = exp(log_score - variance / 2)
    reach = 1.96 * sqrt(variance)
    low, high = (min(max(exp(log_score + side * reach), 1.0), float(k)) for side in (-1, 1))
    return Estimate(
        name="Inception Score" if features == "inception" else "classifier score",
        value=min(max(value, 1.0), float(k)),
        low=low,
        high=high,
        count=n,
        features=features,
        method=(
            f"delta method to infinitely many samples (published form, mean of {splits} "
            f"splits: {split_score(p, splits):.4g}); 95 % of it"
        ),
    )


def _checked(probabilities: Tensor, splits: int) -> Tensor:
    p = probabilities.double()
    if p.ndim != 2 or bool((p < 0).any()) or bool(((p.sum(1) - 1).abs() > 1e-3).any()):
        raise BadInput("rows are no probabilities that sum to 1", mend="give the softmax")
    if splits < 1 or len(p) < 2 * splits:
        raise BadInput(
            f"{len(p)} samples in {splits} splits", mend="use at least two samples a split"
        )
    return p / p.sum(1, keepdim=True)


def _surprise(p: Tensor) -> Tensor:
    """The KL divergence of each row from the mean row: (n,), with 0 log 0 = 0."""
    return torch.special.xlogy(p, p).sum(1) - torch.special.xlogy(p, p.mean(0)).sum(1)
