"""The variance of the reverse step: fixed, learned, and the optimum that is known."""

import core_laws as laws
import pytest
import torch
from torch import nn

from unmist.base.noise import Noise
from unmist.core.condition import Sockets
from unmist.core.denoiser import Chunked, NetDenoiser
from unmist.core.exact import Gaussian
from unmist.core.level import DATA, NOISE, Level, noised, renoised
from unmist.core.objective import Objective
from unmist.core.plan import Plan, Renoise, Step, ancestral, descend
from unmist.core.prediction import Edm, Eps, mean_of
from unmist.core.schedules import Cosine, Exploding, Flow
from unmist.core.solver import Ancestral, Ask, Euler
from unmist.core.spacing import EvenTime, Karras, Logistic
from unmist.core.table import Table
from unmist.core.variance import Between, Fixed, kl, reverse, variances
from unmist.core.walk import answered, final, serve, started, trace, walk
from unmist.networks.unet import UNet

HALF = Gaussian(torch.zeros(4), torch.eye(4) * 0.25)


def two_levels(process):
    return process(torch.tensor(-1.0).double()), process(torch.tensor(0.6).double())


@pytest.mark.parametrize("process", laws.PROCESSES.values(), ids=laws.PROCESSES)
def test_the_reverse_step_is_bayes(process):
    # fails if mean or variance of q(x' | x, x0) differ from the product of the two Gaussians
    here, there = two_levels(process)
    keep = here.alpha / there.alpha  # q(x | x') = N(keep*x', wide), q(x' | x0) = N(alpha'*x0, s'^2)
    wide = here.sigma**2 - (keep * there.sigma) ** 2
    variance = 1 / (keep**2 / wide + 1 / there.sigma**2)
    step = reverse(here, there)
    assert torch.allclose(step.std**2, variance, rtol=1e-12)
    assert torch.allclose(step.keep, variance * keep / wide, rtol=1e-12)
    assert torch.allclose(step.take, variance * there.alpha / there.sigma**2, rtol=1e-12)


def test_both_fixed_variances_are_ddpms():
    # fails if the two ends are not beta tilde and beta of a DDPM table (2006.11239, sec. 3.2)
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    kept = (1 - betas).cumprod(0)
    for t in (1, 10, 500, 999):
        here, there = (Level(kept[i].sqrt(), (1 - kept[i]).sqrt()) for i in (t, t - 1))
        step = reverse(here, there)
        small = betas[t] * (1 - kept[t - 1]) / (1 - kept[t])
        assert float(step.std**2 / small) == pytest.approx(1, rel=1e-9)
        assert float((step.most * step.std) ** 2 / betas[t]) == pytest.approx(1, rel=1e-9)


def test_the_ends_are_exact():
    # fails if a step from NOISE or to DATA divides zero by zero, or still draws noise at DATA
    from_noise, to_data = reverse(NOISE, Flow()(0.5)), reverse(Flow()(0.5), DATA)
    assert float(from_noise.keep) == 0
    assert float(from_noise.take) == float(Flow()(0.5).alpha)
    assert (float(to_data.keep), float(to_data.take), float(to_data.std)) == (0, 1, 0)
    ready = Level(torch.tensor([1.0, 0.8]), torch.tensor([0.0, 0.6]))
    later = Level(torch.tensor([1.0, 0.9]), torch.tensor([0.0, 0.3]))
    step = reverse(ready, later)
    assert (float(step.keep[0]), float(step.take[0]), float(step.std[0])) == (1, 0, 0)


@pytest.mark.parametrize("process", laws.PROCESSES.values(), ids=laws.PROCESSES)
def test_without_a_variance_it_is_the_ancestral_plan(process):
    # fails if the solver's step with gain 1 is not Step and Renoise of the plan `ancestral`
    here, there = two_levels(process)
    x, z = laws.normal(3, 2), laws.normal(3, 2, seed=5)
    plan = ancestral(Plan(here, (Step(there),)))
    middle = plan.moves[0].to
    assert isinstance(plan.moves[1], Renoise)
    half = final(walk(laws.mixture(), x, Plan(here, (Step(middle),)), Euler(), laws.ids(3))).x
    wanted = renoised(half, middle, there, z)
    step = Ancestral()(x, here, there, (), lambda like: z)
    ask = next(step)
    assert ask.spread
    with pytest.raises(StopIteration) as done:
        step.send((laws.mixture()(x, here), None))
    assert torch.allclose(done.value.value[0], wanted, rtol=1e-12, atol=1e-12)


def test_a_learned_range_is_diffusers_own():
    # fails if the log path is not eq. 15 of 2102.09672 as diffusers' DDPM takes it
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDPMScheduler(1000, clip_sample=False, variance_type="learned_range")
    theirs.set_timesteps(1000)
    table, rule = Table("linear"), Between(path="log")
    fraction = torch.linspace(0.05, 0.95, 6).double().reshape(6, 1, 1, 1)
    for t in (3, 400, 998):
        kept = theirs.alphas_cumprod[[t, t - 1]].double()
        here, there = (Level(k.sqrt(), (1 - k).sqrt()) for k in kept)
        wanted = theirs._get_variance(t, 2 * fraction - 1, "learned_range").exp()
        gain = rule.gain(fraction.logit(), here, there)
        assert torch.allclose((gain * reverse(here, there).std) ** 2, wanted, rtol=3e-4)
    assert table.count == 1000


@pytest.mark.parametrize("path", ["log", "linear"])
def test_the_network_can_say_every_variance_between(path):
    # fails if f = 0 and f = 1 are not beta tilde and beta, or f does not rise in between
    here, there = two_levels(laws.preserving)
    said = torch.tensor([-60.0, -1.0, 0.0, 1.0, 60.0]).double().reshape(1, 1, 5)
    gain = Between(path=path).gain(said, here, there).flatten()
    assert float(gain[0]) == pytest.approx(1)
    assert float(gain[-1]) == pytest.approx(float(reverse(here, there).most))
    assert bool((gain.diff() > 0).all())


def best(rule, schedule, level, spread):
    """What the loss makes of one free number, with the exact mean, on Gaussian data."""
    data = Gaussian(torch.zeros(1), torch.eye(1) * spread**2)
    x0, eps = data.sample(4_000, seed=1), laws.normal(4_000, 1, seed=2)
    off = x0 - data(noised(x0, level, eps), level)
    # the draw's own second moment is 1 % off, the optimum is that of the law
    off = off * (data.variance(off[:1], level) / (off**2).mean()).sqrt()
    said = torch.zeros(1, requires_grad=True, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(
        [said],
        max_iter=99,
        tolerance_grad=1e-12,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        loss = rule.loss(said.expand(len(off), 1), off, level, schedule).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return said.detach()


@pytest.mark.parametrize("log_ratio", [-1.5, 0.0, 1.0])
@pytest.mark.parametrize("path", ["log", "linear"])
def test_the_learned_optimum_is_the_exact_one(path, log_ratio):
    # fails if the hybrid loss has its least value anywhere but at beta tilde + take^2*Var[x0 | x]
    schedule, spread = Exploding(), 0.5
    level = schedule.process(torch.tensor(-2 * log_ratio).double())
    data = Gaussian(torch.zeros(1), torch.eye(1) * spread**2)
    rule = Between(path=path, stride=0.4)
    there = schedule.process(level.log_snr + 0.8)
    found = rule.gain(best(rule, schedule, level, spread), level, there)
    wanted = data.spread(torch.zeros(1, 1).double(), level, there=there)[1].flatten()
    assert torch.allclose(found, wanted, rtol=2e-3)


def test_the_linear_path_serves_steps_of_every_length():
    # fails if the fraction learned over short steps is not the optimum of long ones
    schedule, level = Cosine(), Cosine()(0.5)
    short, long = (
        torch.sigmoid(best(Between(stride=s, weight=s), schedule, level, 0.5)) for s in (0.05, 1.5)
    )
    assert torch.allclose(short, long, rtol=5e-3)
    var = float(HALF.variance(torch.zeros(1, 4).double(), level)[0, 0])
    assert float(long) == pytest.approx(var / float(level.sigma**2), rel=2e-2)


@pytest.mark.parametrize("schedule", [Exploding(), Cosine(), Flow()], ids=["edm", "cosine", "flow"])
def test_with_the_exact_variance_five_steps_have_the_exact_law(schedule):
    """Fails if a step's noise is not the optimum: on Gaussian data five steps are then too narrow,
    as they are with beta tilde."""
    levels = (Karras() if schedule == Exploding() else EvenTime())(schedule, 6)
    plan, noise = descend(levels[:-1], levels[-1]), Noise(4, "", tuple(range(8000)))
    wanted = float((0.25 * levels.alpha[-1] ** 2 + levels.sigma[-1] ** 2).sqrt())
    x = started(torch.zeros(8000, 4), plan, noise)
    exact = final(walk(HALF, x, plan, Ancestral(), noise, spread=HALF)).x.std()
    fixed = final(walk(HALF, x, plan, Ancestral(), noise)).x.std()
    error = wanted / (2 * 32000) ** 0.5
    assert abs(float(exact) - wanted) < 4 * error
    assert float(fixed) < wanted - 8 * error


def test_the_posterior_variance_is_the_means_slope():
    # fails if Var[x0 | x_t] is not (sigma^2/alpha) times the derivative of the mean in x_t
    mixture, level = laws.mixture(), Cosine()(0.4)
    x = laws.normal(5, 2)
    slope = torch.stack(
        [torch.autograd.functional.jacobian(lambda r: mixture(r[None], level)[0], row) for row in x]
    ).diagonal(dim1=1, dim2=2)
    assert torch.allclose(mixture.variance(x, level), level.sigma**2 / level.alpha * slope)


class Two(nn.Module):
    """Answers twice the channels, and counts its calls."""

    def __init__(self):
        super().__init__()
        self.net = UNet(width=8, levels=(1,), blocks=(1,), attention=()).build(
            (1, 4, 4), Sockets(), answers=2
        )
        with torch.no_grad():
            self.net.last.weight.add_(0.1)
        self.calls = 0

    def forward(self, x, clock, cond=None):
        self.calls += 1
        return self.net(x, clock, laws_signals())


def laws_signals():
    from unmist.core.condition import Signals

    return Signals()


def learned():
    return NetDenoiser(Two().requires_grad_(False), Edm(), Between())


def test_one_call_gives_both_and_a_wrapped_mean_costs_another():
    # fails if the variance costs a call of its own, or a wrapper's mean is not the one used
    base, x = learned(), torch.ones(2, 1, 4, 4)
    ask = Ask(x, Flow()(0.5), Flow()(0.4), spread=True)
    mean, gain = answered(base, ask, None, base)
    assert base.net.calls == 1
    assert torch.equal(mean, base(x, ask.here))
    assert bool((gain > 1).all())

    def doubled(x, here, cond=None, *, there=None):
        return 2 * base(x, here, cond, there=there)

    other, same = answered(doubled, ask, None, base)
    assert torch.equal(other, 2 * mean)
    assert torch.equal(same, gain)
    assert base.net.calls == 4


def test_many_requests_in_one_batch_equal_lone_ones():
    # fails if serve gives a solver that asks for a mean a pair, or mixes the rows of the gains
    base = learned()
    plans = [descend(EvenTime()(Flow(), n)) for n in (3, 5)]
    jobs = [(plans[0], Ancestral()), (plans[1], Euler()), (plans[1], Ancestral())]
    noises = [Noise(i, "", (0, 1)) for i in range(3)]
    x = torch.zeros(2, 1, 4, 4)
    lone = [
        final(walk(base, started(x, p, n), p, s, n, spread=base)).x
        for (p, s), n in zip(jobs, noises, strict=True)
    ]
    traces = [trace(started(x, p, n), p, s, n) for (p, s), n in zip(jobs, noises, strict=True)]
    last = {number: state.x for number, state in serve(base, traces, spread=base)}
    for number, wanted in enumerate(lone):
        assert torch.allclose(last[number], wanted, atol=1e-5)


def test_the_exact_mode_holds_with_a_learned_variance():
    # fails if the variance of a row depends on who else is in the batch
    base = learned()
    plan, spare = descend(Logistic()(Exploding(), 4)), torch.zeros(11, 1, 4, 4)
    exact = Chunked(base, spreads=base)

    def drawn(ids):
        noise = Noise(0, "", ids)
        x = started(spare[: len(ids)], plan, noise)
        return final(walk(exact, x, plan, Ancestral(), noise, spread=exact)).x

    company = drawn(tuple(range(11)))
    assert torch.equal(drawn((7,))[0], company[7])


def test_the_loss_teaches_the_variance_and_leaves_the_mean_alone():
    # fails if the hybrid term moves the mean's half of the answer, or not the variance's
    base, x0 = Two(), laws.normal(4, 1, 4, 4).float()
    objective = Objective(Exploding(), Edm(), variance=Between())
    level, eps = (
        Exploding().process(torch.zeros(4).double()),
        laws.normal(4, 1, 4, 4, seed=3).float(),
    )
    plain = Objective(Exploding(), Edm())
    gradients = []
    for goal in (objective, plain):
        base.zero_grad()
        goal(base, x0, eps, level).sum().backward()
        gradients.append(base.net.last.weight.grad.clone())
    first = gradients[0].shape[0] // 2
    assert torch.equal(gradients[0][:first], gradients[1][:first])
    assert bool((gradients[0][first:] != 0).any())
    assert not bool((gradients[1][first:] != 0).any())
    assert isinstance(variances["fixed"](), Fixed)


def test_kl_is_the_gaussian_one():
    # fails if the divergence is not that of two Gaussians
    here, there = two_levels(laws.rectified)
    step = reverse(here, there)
    off, gain = laws.normal(3, 1, 2), laws.normal(3, 1, 2, seed=1).abs() + 1
    one = torch.distributions.Normal(step.take * off, step.std)
    other = torch.distributions.Normal(torch.zeros_like(off), step.std * gain)
    assert torch.allclose(kl(gain, off, step), torch.distributions.kl_divergence(one, other))


def test_eps_predictions_carry_a_variance_too():
    # fails if the second half of the answer leaks into the mean
    base = NetDenoiser(lambda x, c, cond: torch.cat((x, 9 * x), 1), Eps(), Between())
    x, level = torch.ones(2, 1, 3), Cosine()(0.3)
    assert torch.equal(base(x, level), mean_of(Eps(), x, x / 1.0, level))
