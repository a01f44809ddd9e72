"""The rate finder: follows the scale of the weights, not of the loss, and sees divergence."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from unmist.training.ema import Average
from unmist.training.loop import Batches, Learner, Schooling
from unmist.training.optimizer import AdamW
from unmist.training.rates import Tried, rates_of, trying

torch.set_num_threads(1)


class Line(nn.Module):
    """y = c*w.x, with the weights a factor c smaller than they act."""

    def __init__(self, factor):
        super().__init__()
        self.factor, self.w = factor, nn.Parameter(torch.zeros(8))

    def forward(self, x):
        return self.factor * (x @ self.w)


class Fit:
    """Squares against a known line, times a constant."""

    def __init__(self, times):
        self.times = times

    def levels(self, u):
        return u

    def __call__(self, net, x0, eps, level, cond):
        del eps, level, cond
        x = x0.flatten(1)
        return self.times * (net(x) - x @ torch.linspace(-1, 1, 8)) ** 2


def learner(factor=1.0, times=1.0):
    x = torch.randn(256, 8, 1, generator=torch.Generator().manual_seed(0))
    return Learner(
        net=Line(factor),
        objective=Fit(times),
        optimizer=AdamW(warmup=0.0, decay=0.0, weight_decay=0.0, clip=0.0),
        average=Average(),
        schooling=Schooling(samples=10**6, batch=32),
        batches=Batches(256, lambda rows: (x[torch.from_numpy(rows)], None)),
    )


def found(**kinds):
    return rates_of(tuple(trying(learner(**kinds), 300, 1e-5, 1e3)))


def test_the_rate_follows_the_weights():
    """Fails if the choice is not ten times as large where weights act a tenth as much."""
    one, ten = found(), found(factor=0.1)
    assert ten.chosen / one.chosen == pytest.approx(10, rel=0.5)
    assert one.least < one.broken
    assert one.chosen < one.broken / 4
    assert 0.005 < one.chosen < 2  # weights up to 1


def test_the_scale_of_the_loss_does_not_count():
    """Fails if the thresholds are not relative: Adam's steps are the same."""
    one, hundred = found(), found(times=100.0)
    assert hundred.chosen == pytest.approx(one.chosen, rel=1e-6)
    assert len(hundred.tried) == len(one.tried)


def test_it_stops_where_the_loss_breaks():
    """Fails if updates go on after divergence, or a loss that is no number is chosen."""
    one = found()
    assert len(one.tried) < 300
    assert one.broken == one.tried[-1].rate
    tried = (Tried(1e-4, 2.0, 2.0), Tried(1e-3, 1.0, 1.5), Tried(1e-2, math.nan, math.nan))
    made = rates_of(tried)
    assert (made.chosen, made.broken) == (pytest.approx(2.5e-4), 1e-2)
    assert np.isfinite(made.chosen)
