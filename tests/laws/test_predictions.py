"""Predictions: round trips, scale, ends, clocks."""

import core_laws as laws
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.core.denoiser import NetDenoiser
from unmist.core.level import DATA, NOISE, Level
from unmist.core.prediction import Edm, LogRatio, TableIndex, Velocity, target_of
from unmist.core.table import Table

PREDICTIONS, SCHEDULES = laws.all_predictions(), laws.all_schedules()


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_mean_of_target_is_x0(prediction, schedule):
    # fails if mean and target are not each other's inverse at every level of every schedule
    laws.law_round_trip(PREDICTIONS[prediction], SCHEDULES[schedule])


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_scale_free(prediction):
    # fails if a coefficient has the wrong degree in the level: D(c*x, c*level) = D(x, level)
    laws.law_scale_free(PREDICTIONS[prediction])


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_network_sees_unit_variance(prediction):
    # fails if the scale does not bring x_t of data with the assumed spread to spread 1
    part = PREDICTIONS[prediction]
    spread = part.sigma_data if isinstance(part, Edm) else 1.0
    level = Level(torch.tensor([1.0, 0.8, 1.0]), torch.tensor([0.01, 0.6, 80.0]))
    marginal = (spread**2 * level.alpha**2 + level.sigma**2).sqrt()
    assert torch.allclose(part.scale(level) * marginal, torch.ones(3).double())


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_shared_level_is_that_of_every_row(prediction):
    # fails if plain coefficients lose digits to float32, or one level's are kept for another's
    def net(x, clock, cond):
        return x.sin() + clock.reshape(-1, 1)

    denoise, x = NetDenoiser(net, PREDICTIONS[prediction]), laws.normal(4, 3)
    for alpha, sigma in ((0.1, 0.7), (0.1, 0.700000001), (1 / 3, 80.0)):
        shared = Level(*torch.tensor([alpha, sigma], dtype=torch.float64))
        torch.testing.assert_close(
            denoise(x, shared), denoise(x, shared.rows(4)), rtol=1e-13, atol=0
        )


@pytest.mark.parametrize("prediction", [name for name in PREDICTIONS if name != "eps"])
def test_finite_at_noise(prediction):
    # fails if a plan that starts at NOISE would meet inf or NaN in the first mean
    part = PREDICTIONS[prediction]
    for number in (part.skip(NOISE), part.out(NOISE), part.scale(NOISE), part.clock(NOISE)):
        assert bool(number.isfinite().all())
    assert bool(part.clock(DATA).isfinite())


def test_eps_is_refused_at_noise():
    # fails if 0/0 leaves the network as a picture instead of as a sentence
    with pytest.raises(BadInput, match="zero signal"):
        PREDICTIONS["eps"].skip(NOISE)


def test_velocity_is_salimans_and_hos():
    # fails if the target is not alpha*eps - sigma*x0 on preserving levels, or grows on others
    x0, eps = laws.normal(5, 3, seed=1), laws.normal(5, 3, seed=2)
    level = Level(torch.tensor(0.6).double(), torch.tensor(0.8).double())
    level = Level(level.alpha, (1 - level.alpha**2).sqrt())
    target = target_of(Velocity(), x0, eps, level)
    torch.testing.assert_close(target, level.alpha * eps - level.sigma * x0, rtol=0, atol=1e-14)
    far = Level(torch.tensor(1.0), torch.tensor(80.0))
    assert float(target_of(Velocity(), x0, eps, far).abs().max()) < 5


def test_edm_of_unit_spread_is_minus_v():
    # fails if the two parametrisations, equal up to sign, drift apart
    x0, eps = laws.normal(5, 3, seed=1), laws.normal(5, 3, seed=2)
    level = Level(torch.tensor(1.0), torch.tensor(3.0))
    both = [target_of(part, x0, eps, level) for part in (Edm(), Velocity())]
    torch.testing.assert_close(both[0], -both[1], rtol=0, atol=1e-14)


def test_clocks():
    # fails if the clock is unbounded, or a table's index is not the index
    assert (float(LogRatio()(NOISE)), float(LogRatio()(DATA))) == (10.0, -10.0)
    table = Table("linear")
    index = torch.tensor([0, 1, 250, 998, 999])
    clock = TableIndex(table)(table.levels[index])
    assert float((clock - index).abs().max()) < 1e-9
    assert float(TableIndex(table)(NOISE)) == 999.0
