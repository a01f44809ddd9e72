import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.metrics.classes import class_balance

NAMES = tuple("abcdefghij")


def _draw(count, seed, shares=None):
    return torch.from_numpy(np.random.default_rng(seed).choice(10, count, p=shares))


def _without(*rates):
    """Ten equal shares, the first ones times `rates`."""
    shares = np.ones(10)
    shares[: len(rates)] = rates
    return shares / shares.sum()


def test_lost_classes_are_named():
    """Fails if a class without samples, or with a tenth of its share, is not named; or others."""
    found = class_balance(_draw(500, 0, _without(0, 0.1)), _draw(4000, 1), NAMES)
    assert found.missing == ("a",)
    assert found.lost == ("a", "b")
    assert "9 of 10 classes met, lost a (0.00% for" in str(found)
    assert "\n" not in str(found)
    assert found.p_value < 1e-6
    assert found.distance.low > 0
    assert found.shares["a"][0] == 0


def test_luck_is_no_loss():
    """Fails if classes that few samples do not meet are called lost: 12 of ten classes."""
    found = class_balance(_draw(12, 3), _draw(4000, 1), NAMES)
    assert found.missing
    assert found.lost == ()
    assert "absent but maybe by luck" in str(found)


def test_samples_of_the_law_are_as_far_as_the_floor():
    """Fails if the floor is another number than their mean, the p-value is not uniform, or the
    interval misses 0 more often than 1 in 20."""
    found = [class_balance(_draw(300, 2 * s), _draw(900, 2 * s + 1), NAMES) for s in range(100)]
    values = torch.tensor([each.distance.value for each in found])
    floors = torch.tensor([each.distance.floor for each in found])
    assert abs(float((values - floors).mean())) < 4 * float(values.std()) / 10
    p = torch.tensor([each.p_value for each in found])
    assert abs(float(p.mean()) - 0.5) < 4 * 0.289 / 10
    assert sum(each.distance.holds(0) for each in found) >= 88


@pytest.mark.parametrize("rates", [(0.5,), (0,), (0, 0, 0.2), (3, 0.3)])
def test_the_interval_holds_the_truth(rates):
    """Fails if the upward bias of absolute values is left in: 88 of 100 hold the true distance."""
    shares = _without(*rates)
    truth = np.abs(shares - 0.1).sum() / 2
    held = [
        class_balance(_draw(400, 2 * s, shares), _draw(2000, 2 * s + 1), NAMES).distance
        for s in range(100)
    ]
    assert sum(estimate.holds(truth) for estimate in held) >= 88


def test_one_class_and_refusals():
    """Fails if a single class divides by zero, or a label outside the classes is counted."""
    alone = class_balance(torch.zeros(9).long(), torch.zeros(5).long(), ("a",))
    assert (alone.distance.value, alone.p_value, alone.missing) == (0, 1, ())
    for wrong in (torch.tensor([-1, 0]), torch.tensor([0, 10]), torch.zeros(0).long()):
        with pytest.raises(BadInput, match="not all among 10"):
            class_balance(wrong, _draw(5, 0), NAMES)
