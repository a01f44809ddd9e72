import numpy as np
import pytest
import torch
from prdc import compute_prdc

from unmist.base.faults import BadInput
from unmist.metrics import diversity as room
from unmist.metrics.diversity import diversity, diversity_estimates


def _normal(count, width, seed):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, width)))


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_prdc_gives_the_same(neighbours, capsys):
    """Fails if a ball, its k or its side differs from the authors' own code."""
    real, samples = _normal(150, 6, 0), _normal(90, 6, 1) * 0.8 + 0.3
    theirs = compute_prdc(real.numpy(), samples.numpy(), neighbours)
    ours = diversity(real, samples, neighbours)
    for name, value in theirs.items():
        assert getattr(ours, name) == pytest.approx(value, abs=1e-7), name


def test_chunks_change_nothing(monkeypatch):
    """Fails if rows at the edge of a block are lost or counted twice."""
    real, samples = _normal(130, 5, 2), _normal(70, 5, 3)
    whole = diversity(real, samples)
    monkeypatch.setattr(room, "ROWS", 7 * 130)
    assert diversity(real, samples) == whole


def test_duplicates_lower_coverage_and_recall():
    """Fails if a model that repeats a tenth of its pictures looks as diverse."""
    real, samples = _normal(400, 8, 4), _normal(400, 8, 5)
    good, poor = diversity(real, samples), diversity(real, samples[:40].repeat(10, 1))
    assert poor.coverage < 0.6 * good.coverage
    assert poor.recall < 0.6 * good.recall
    assert abs(poor.precision - good.precision) < 0.1


def test_expected_coverage_holds_for_any_law():
    """Fails if the closed form is off: mean over 60 draws of two laws within four errors."""
    for width, power in ((2, 1), (6, 3)):
        draws = [
            diversity(_normal(60, width, s) ** power, _normal(40, width, 1000 + s) ** power, 3)
            for s in range(60)
        ]
        covered = torch.tensor([d.coverage for d in draws])
        error = float(covered.std()) / 60**0.5
        assert abs(float(covered.mean()) - draws[0].expected_coverage) < 4 * error


def test_far_samples_are_neither_precise_nor_covering():
    """Fails if distances are compared with the wrong side's reach."""
    far = diversity(_normal(50, 3, 6), _normal(60, 3, 7) + 100)
    assert (far.precision, far.recall, far.density, far.coverage) == (0, 0, 0, 0)


def test_too_few_pictures_are_refused():
    """Fails if five neighbours among five pictures give a number."""
    with pytest.raises(BadInput, match="5 neighbours among 5"):
        diversity(_normal(5, 2, 0), _normal(50, 2, 1))


NAMES = ("precision", "recall", "density", "coverage")


@pytest.mark.parametrize(("width", "scale"), [(2, 1.0), (12, 0.8)])
def test_intervals_hold_the_expectation(width, scale):
    """Fails if the error forgets one side, takes rows as independent, or is the plain jackknife's,
    twice as wide in two dimensions: of 40 draws of 150 and 120 rows at least 84 % hold it, and half
    of the interval is near 1.96 deviations of what repeated draws give."""
    draws = [
        diversity_estimates(
            _normal(150, width, s), _normal(120, width, 1000 + s) * scale, features="numbers"
        )
        for s in range(40)
    ]
    for name, column in zip(NAMES, zip(*draws, strict=True), strict=True):
        truth = np.mean([e.value for e in column])
        assert {e.name for e in column} == {name}
        assert np.mean([e.holds(truth) for e in column]) >= 0.84
    density = [draw[2] for draw in draws]
    reach = np.mean([e.high - e.value for e in density])
    spread = 1.96 * np.std([e.value for e in density])
    assert spread / 1.3 < reach < 1.5 * spread


def test_floors_are_what_perfect_samples_get():
    """Fails if a floor is of another number or law: means over 30 draws within four errors."""
    for width, real, samples in ((3, 120, 60), (20, 60, 60)):
        draws = [
            diversity_estimates(
                _normal(real, width, s), _normal(samples, width, 500 + s), features="numbers"
            )
            for s in range(30)
        ]
        for column in zip(*draws, strict=True):
            gaps = [e.excess for e in column]
            assert abs(np.mean(gaps)) < 4 * np.std(gaps) / 30**0.5 + 0.005, column[0].name


def test_estimates_are_the_values_and_stay_shares():
    """Fails if an interval leaves [0, 1], closes where all samples agree, or the value moves."""
    real, samples = _normal(90, 4, 8), _normal(80, 4, 9) * 1e-3
    found = diversity_estimates(real, samples, features="numbers", neighbours=3)
    plain = diversity(real, samples, 3)
    for estimate in found:
        assert estimate.value == getattr(plain, estimate.name)
        assert estimate.low <= estimate.value <= estimate.high
        assert (estimate.count, estimate.reference, estimate.features) == (80, 90, "numbers")
    precision = found[0]
    assert precision.value == 1
    assert 0.9 < precision.low < precision.high == 1


def test_too_few_for_an_error_are_refused():
    """Fails if thirds that hold no neighbours give an interval."""
    with pytest.raises(BadInput, match="20 pictures tell no error"):
        diversity_estimates(_normal(20, 2, 0), _normal(50, 2, 1), features="numbers")
