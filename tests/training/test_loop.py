"""The training step against direct computation: order, gradient, average, guard."""

import math

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.core.level import noised
from unmist.core.objective import LogNormal, Objective, Simple
from unmist.core.prediction import Edm, target_of
from unmist.core.schedules import Exploding
from unmist.training.ema import Average
from unmist.training.guard import Guard, Health
from unmist.training.held import held_loss
from unmist.training.loop import Batches, Learner, Schooling
from unmist.training.optimizer import AdamW
from unmist.training.order import Order, even_draws


class Tiny(torch.nn.Module):
    """(x, clock, cond) -> a 1x1 convolution of x and the clock."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.mix = torch.nn.Conv2d(2, 1, 1)

    def forward(self, x, clock, cond):
        plane = clock.reshape(-1, 1, 1, 1).expand_as(x)
        return self.mix(torch.cat([x, plane], 1))


DATA = torch.from_numpy(np.random.default_rng(0).standard_normal((40, 1, 4, 4))).float()


def learner(**changes):
    settings = {"samples": 400, "batch": 8, **changes.pop("schooling", {})}
    fetch = changes.pop("fetch", lambda rows: (DATA[rows], None))
    return Learner(
        net=Tiny(),
        objective=Objective(Exploding(0.01), Edm(), LogNormal(), Simple()),
        optimizer=changes.pop("optimizer", AdamW(rate=1e-2)),
        average=Average(0.1),
        schooling=Schooling(**settings),
        batches=Batches(40, fetch),
        **changes,
    )


def test_every_epoch_holds_each_row_once_wherever_one_starts():
    """Fails where the order depends on earlier draws, or a row is lost at an epoch's end."""
    order = Order(5, 40)
    stream = order.rows(0, 200)
    for epoch in range(5):
        assert sorted(stream[epoch * 40 : epoch * 40 + 40]) == list(range(40))
    for first, number in ((0, 8), (36, 8), (37, 90), (120, 1)):
        assert (order.rows(first, number) == stream[first : first + number]).all()
    assert (stream[:40] != stream[40:80]).any()


def test_draws_fill_their_cells():
    """Fails where the levels of a batch are not stratified."""
    u = even_draws(0, 64, 32).numpy()
    assert sorted(np.floor(u * 32).astype(int)) == list(range(32))


def test_loss_and_gradient_are_those_of_the_formula():
    """Fails where scale, clock, target or weight of the objective are off, or the mean is wrong."""
    run, seen = learner(), {}

    class Spy(Objective):
        def __call__(self, net, x0, eps, level, cond=None):
            seen.update(x0=x0, eps=eps, level=level)
            return super().__call__(net, x0, eps, level, cond)

    real = run.objective
    run.objective = Spy(real.schedule, real.prediction, real.draw, real.weighting)
    loss = run._gradients()
    got = run.net.mix.weight.grad.clone()
    x0, eps, level = seen["x0"], seen["eps"], seen["level"]
    run.net.zero_grad()
    sigma = level.sigma.float().reshape(-1, 1, 1, 1)
    clock = level.sigma.log().float()
    output = run.net(noised(x0, level, eps) / (1 + sigma**2).sqrt(), clock, None)
    # EDM, s = 1: x0 = x/(1 + sigma^2) + sigma/sqrt(1 + sigma^2)*output
    wanted = (x0 - noised(x0, level, eps) / (1 + sigma**2)) * (1 + sigma**2).sqrt() / sigma
    direct = ((output - wanted) ** 2).mean()
    direct.backward()
    assert loss == pytest.approx(float(direct.detach()), rel=1e-5)
    assert torch.allclose(got, run.net.mix.weight.grad, rtol=1e-4, atol=1e-6)
    assert torch.allclose(target_of(real.prediction, x0, eps, level), wanted, atol=1e-4)


def test_micro_batches_sum_to_the_whole():
    """Fails where a micro-batch is weighted by its own size or sees other noise."""
    whole, parts = learner(), learner(schooling={"micro": 2})
    assert whole._gradients() == pytest.approx(parts._gradients(), rel=1e-6)
    assert torch.allclose(
        whole.net.mix.weight.grad, parts.net.mix.weight.grad, rtol=1e-4, atol=1e-7
    )


def test_the_average_is_the_weighted_mean_of_all_weights():
    """Fails where the average's weights are not those of (t/T)^gamma, eq. 7 of 2312.02696."""
    average, run = Average(0.1), learner()
    ema = average.start(run.net)
    gamma, values = average.gamma, torch.randn(60, generator=torch.Generator().manual_seed(0))
    for step, value in enumerate(values.tolist(), start=1):
        with torch.no_grad():
            run.net.mix.bias.fill_(value)
        average.update(ema, run.net, step)
    weights = np.ones(60)
    for step in range(1, 61):
        keep = (1 - 1 / step) ** (gamma + 1)
        weights[: step - 1] *= keep
        weights[step - 1] = 1 - keep
    assert float(ema.mix.bias) == pytest.approx(float(weights @ values.numpy()), abs=1e-5)
    places = np.arange(1, 61) / 60
    age = weights / weights.sum()
    spread = math.sqrt(age @ places**2 - (age @ places) ** 2)
    assert spread == pytest.approx(0.1, abs=0.01)


def test_rates_rise_stay_and_fall():
    """Fails where warm-up or decay are not the shares of the run that they say."""
    rates = AdamW(rate=2.0, warmup=0.1, decay=0.5)
    assert rates.rate_at(0.05) == pytest.approx(1.0)
    assert rates.rate_at(0.3) == rates.rate_at(0.5) == 2.0
    assert rates.rate_at(0.75) == pytest.approx(1.0)
    assert rates.rate_at(1.0) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(BadInput, match="warmup"):
        AdamW(warmup=0.8, decay=0.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_batch_that_is_not_finite_never_reaches_the_weights(bad):
    """Fails where a loss that is not finite updates weights, moments or average."""

    def fetch(rows):
        x0 = DATA[rows].clone()
        if run.seen == 16:
            x0[3, 0, 1, 1] = bad
        return x0, None

    run = learner(fetch=fetch)
    run.advance()
    run.advance()
    before = {k: v.clone() for part in run.tensors().values() for k, v in part.items()}
    stats = run.advance()
    assert stats.skipped
    assert run.health.bad == 1
    after = {k: v for part in run.tensors().values() for k, v in part.items()}
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not run.advance().skipped
    assert run.health.bad == 0


def test_the_guard_names_spikes_and_runs_of_bad_batches():
    """Fails where a lasting rise of the loss or five bad batches go unnoticed, or noise alarms."""
    guard, health = Guard(), Health()
    draw = np.random.default_rng(0)
    for _ in range(500):
        health = guard(health, float(draw.uniform(0.5, 2.0)), 1.0)
        assert not guard.verdict(health)
    calm = health
    for _ in range(8):
        health = guard(health, 30.0, 1.0)
    assert "loss rose" in guard.verdict(health)
    for _ in range(5):
        calm = guard(calm, math.nan, 1.0)
    assert "not finite" in guard.verdict(calm)


def test_training_lowers_the_held_out_loss_and_restores_to_the_bit():
    """Fails where the optimizer goes nowhere, or tensors and state leave something out."""
    run = learner()
    rows = np.arange(40)
    first = held_loss(run.ema, run.objective, run.batches, rows)
    while run.seen < 200:
        run.advance()
    tensors = {k: {n: t.clone() for n, t in part.items()} for k, part in run.tensors().items()}
    state = run.state()
    while not run.done:
        run.advance()
    last = held_loss(run.ema, run.objective, run.batches, rows)
    assert last.mean < 0.8 * first.mean
    assert sum(last.counts) == 40
    again = learner()
    again.restore(tensors, state)
    while not again.done:
        again.advance()
    for name, part in run.tensors().items():
        for key, tensor in part.items():
            assert torch.equal(tensor, again.tensors()[name][key]), (name, key)
