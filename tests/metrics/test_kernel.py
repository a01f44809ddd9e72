import numpy as np
import pytest
import torch
from torchmetrics.image.kid import KernelInceptionDistance

from unmist.base.faults import BadInput
from unmist.metrics import kernel as room
from unmist.metrics.kernel import kernel_distance


def _normal(count, width, seed, shift=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, width)) + shift)


def _truth(shift, width):
    """Between N(0, I) and N(shift, I), from the kernel's moments.

    E (x . y / d + 1)^3 of independent x, y with x . y normal given one of them: 1 + 3 m + 3 s + t.
    """

    def third(one, other):
        # x = one + u, y = other + v: moments of p = x . y / d by the means' products
        ab, aa, bb, d = one * other * width, one**2 * width, other**2 * width, width
        square = ab**2 + aa + bb + d
        cube = ab**3 + 3 * ab * (aa + bb + d) + 6 * ab
        return 1 + 3 * ab / d + 3 * square / d**2 + cube / d**3

    return third(shift, shift) + third(0, 0) - 2 * third(shift, 0)


class _Flat(torch.nn.Module):
    def forward(self, x):
        return x.flatten(1).double() / 255


@pytest.mark.filterwarnings("ignore")
def test_torchmetrics_gives_the_same():
    """Fails if the kernel, its scale or the diagonal differs from what others report."""
    draw = np.random.default_rng(0)
    real = torch.from_numpy(draw.integers(0, 256, (120, 3, 2, 2), dtype=np.uint8))
    fake = torch.from_numpy((draw.beta(2, 4, (120, 3, 2, 2)) * 255).astype(np.uint8))
    other = KernelInceptionDistance(feature=_Flat(), subsets=1, subset_size=120)
    other.update(real, real=True)
    other.update(fake, real=False)
    ours = kernel_distance(_Flat()(fake), _Flat()(real), features="pixels")
    assert ours.value == pytest.approx(float(other.compute()[0]), abs=1e-10)


def test_blocks_change_nothing(monkeypatch):
    """Fails if the diagonal of a block, its rows or its columns are misplaced."""
    x, y = _normal(31, 4, 0), _normal(23, 4, 1)
    whole = kernel_distance(x, y, features="numbers")
    monkeypatch.setattr(room, "BLOCK", 5 * 31)
    parts = kernel_distance(x, y, features="numbers")
    for name in ("value", "low", "high"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-9), name


@pytest.mark.parametrize("shift", [0.0, 0.1, 1.0])
def test_the_interval_holds_the_truth(shift):
    """Fails if it is biased, or the part of rows or of pairs is missing or counted twice: the
    interval's half is 1.6 to 2.4 deviations over 100 draws, and 88 to 100 of them hold the
    truth, at equal laws, near and far."""
    truth = _truth(shift, 6)
    found = [
        kernel_distance(
            _normal(120, 6, 2 * s), _normal(80, 6, 2 * s + 1, shift), features="numbers"
        )
        for s in range(100)
    ]
    values = torch.tensor([estimate.value for estimate in found])
    halves = torch.tensor([(estimate.high - estimate.low) / 2 for estimate in found])
    assert abs(float(values.mean()) - truth) < 4 * float(values.std()) / 10
    assert 1.6 < float(halves.mean() / values.std()) < 2.4
    assert sum(estimate.holds(truth) for estimate in found) >= 88


def test_names_and_refusals():
    """Fails if KID is said of other features, or too few rows give a number."""
    x = _normal(10, 3, 0)
    assert kernel_distance(x, x + 1, features="inception").name == "KID"
    assert kernel_distance(x, x + 1, features="labels-1").name == "kernel distance"
    with pytest.raises(BadInput, match="3 pictures"):
        kernel_distance(x[:3], x, features="numbers")
    with pytest.raises(BadInput, match="3 features against 2"):
        kernel_distance(x, x[:, :2], features="numbers")
