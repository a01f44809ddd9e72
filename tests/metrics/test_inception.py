import math

import numpy as np
import pytest
import torch
from torchmetrics.image.inception import InceptionScore

from unmist.base.faults import BadInput
from unmist.base.noise import keyed
from unmist.metrics.inception import inception_score, split_score


def _answers(count, classes, seed, sharp):
    """Softmax of `sharp` at a random class and noise elsewhere."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(count, classes))
    logits[np.arange(count), draw.integers(0, classes, count)] += sharp
    return torch.from_numpy(logits).softmax(1)


class _Logits(torch.nn.Module):
    def forward(self, x):
        return x.log()


@pytest.mark.parametrize("splits", [1, 10])
@pytest.mark.filterwarnings("ignore")
def test_torchmetrics_gives_the_same(splits, monkeypatch):
    """Fails if the published form differs: means within parts, exp of each, mean of those."""
    p = _answers(200, 7, 0, 3)
    order = torch.from_numpy(keyed(0, "splits").permutation(200))
    monkeypatch.setattr(torch, "randperm", lambda count: order)
    other = InceptionScore(feature=_Logits(), splits=splits)
    other.update(p)
    assert split_score(p, splits) == pytest.approx(float(other.compute()[0]), rel=1e-10)


def test_ends():
    """Fails if certain answers, 0 log 0 or equal answers leave the range 1 to k."""
    sure = torch.eye(5).repeat(40, 1)
    assert split_score(sure, 1) == pytest.approx(5)
    assert inception_score(sure, features="labels-1").value == 5
    flat = inception_score(torch.full((100, 5), 0.2), features="labels-1")
    assert (flat.value, flat.low, flat.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize("sharp", [1, 4, 30])
def test_the_interval_holds_the_truth(sharp):
    """Fails if the bias of 150 rows is left in, or the interval is too narrow or wide: 88 of 100
    hold the score of 400,000 rows, and their mean is within four errors of it."""
    truth = math.exp(math.log(split_score(_answers(400_000, 10, 999, sharp), 1)))
    found = [inception_score(_answers(150, 10, s, sharp), features="labels-1") for s in range(100)]
    assert sum(estimate.holds(truth) for estimate in found) >= 88
    centre = torch.tensor([(estimate.high + estimate.low) / 2 for estimate in found])
    error = float(centre.std()) / 10
    if sharp < 30:  # at the upper end the interval is cut off at k
        assert abs(float(centre.mean()) - truth) < 4 * error + 1e-3 * truth
    plain = sum(split_score(_answers(150, 10, s, sharp), 10) for s in range(20)) / 20
    assert plain < truth - 4 * error


def test_names_and_refusals():
    """Fails if the name is said of other classes, or logits or too few rows are taken."""
    p = _answers(40, 4, 1, 2)
    assert inception_score(p, features="inception").name == "Inception Score"
    told = inception_score(p, features="labels-1", splits=4)
    assert told.name == "classifier score"
    assert f"4 splits: {split_score(p, 4):.4g}" in told.method
    with pytest.raises(BadInput, match="no probabilities"):
        split_score(p.log())
    with pytest.raises(BadInput, match="40 samples in 30 splits"):
        split_score(p, 30)
