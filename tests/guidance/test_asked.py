"""What guidance asks of the network: how often, which rows, and what travels with a row."""

import core_laws as laws
import pytest
import torch
from guided import COND, EXACT, LEVELS, ROWS, TWO, Counting, X, crossed, double

from unmist.core.condition import Cond, Tokens
from unmist.core.denoiser import Chunked, NetDenoiser
from unmist.core.level import DATA, Level
from unmist.core.plan import descend
from unmist.core.prediction import Edm
from unmist.core.schedules import Exploding, Flow
from unmist.core.solver import Euler, Heun, Multistep
from unmist.core.spacing import Karras, Logistic
from unmist.core.walk import final, serve, trace, walk
from unmist.guidance.auto import Auto
from unmist.guidance.free import Free
from unmist.guidance.interval import Interval
from unmist.guidance.wish import bare, negated, scaled


@pytest.mark.parametrize(("scale", "rows"), [(2.0, 2 * ROWS), (1.0, ROWS), (0.0, ROWS)])
def test_one_call_a_step(scale, rows):
    """Fails if the halves are two calls, or if a half that counts nothing is asked."""
    base = Counting(EXACT)
    Free(base, scale)(X, LEVELS["one"], COND)
    assert (base.calls, base.rows) == (1, rows)
    walked = Counting(EXACT)
    plan = descend(Karras()(Exploding(), 5))
    last = final(walk(Free(walked, 2.0), 80 * X, plan, Euler(), laws.ids(ROWS), COND))
    assert (last.calls, walked.calls, walked.rows) == (5, 5, 10 * ROWS)


def test_several_conditions_are_one_call():
    """Fails if n conditions with a scale each cost more than one call of n + 1 parts."""
    base = Counting(crossed())
    Free(base, scales={"a": 2.0, "b": 3.0})(X, LEVELS["one"], TWO)
    assert (base.calls, base.rows) == (1, 3 * ROWS)


@pytest.mark.parametrize("kind", ["free", "several", "auto"])
def test_outside_the_interval_the_model_alone(kind):
    """Fails if guidance acts outside (low, high], or if more than one half is asked there."""
    base, weak = Counting(crossed()), Counting(lambda x, *_, there=None: x / 3)
    here = Level(torch.ones(ROWS), double([0.1, 0.3, 0.31, 1.0, 2.0, 2.1, 5.0, 80.0]))
    interval = Interval(0.3, 2.0)
    guides = {
        "free": Free(base, 4.0, interval=interval),
        "several": Free(base, scales={"a": 4.0, "b": 3.0}, interval=interval),
        "auto": Auto(base, weak, 4.0, interval),
    }
    got, model = guides[kind](X, here, TWO), crossed()(X, here, TWO)
    same = (got - model).abs().amax(1) < 1e-12
    assert same.tolist() == [True, True, False, False, False, True, True, True]
    inside = {"free": 2, "several": 3, "auto": 1}[kind]
    assert (base.calls, base.rows) == (1, 5 + 3 * inside)
    assert weak.rows == (3 if kind == "auto" else 0)


def test_levels_of_single_frames():
    """Fails if a level a frame (b, 1, frames) loses its place, or an interval cuts wrongly."""

    def told(x, here, cond=None, *, there=None):
        return here.like(x).sigma + 10 * cond.kept("c").reshape(-1, 1, 1, 1) + 0 * x

    x, sigma = torch.zeros(2, 3, 4, 5), torch.tensor([0.1, 0.5, 1.0, 2.0])
    here = Level(torch.ones(1, 1, 4), sigma.reshape(1, 1, 4))
    got = Free(told, 3.0, interval=Interval(0.4, 1.5))(x, here, Cond({"c": torch.zeros(2)}))
    want = torch.tensor([10.1, 30.5, 31.0, 12.0])
    torch.testing.assert_close(got, want.reshape(1, 1, 4, 1).expand(2, 3, 4, 5))


def test_where_the_step_goes_is_passed_on():
    """Fails if a two-level student under guidance is not told where each row's step ends."""
    seen = []

    def student(x, here, cond=None, *, there=None):
        seen.append(there.sigma)
        return x

    goal = Level(torch.ones(ROWS), torch.linspace(0.01, 0.04, ROWS))
    Free(student, 2.0)(X, LEVELS["a row each"], COND, there=goal)
    Auto(student, student, 2.0)(X, LEVELS["a row each"], COND, there=goal)
    assert torch.equal(seen[0], goal.sigma.repeat(2))
    assert all(torch.equal(one, goal.sigma) for one in seen[1:])
    Free(student, 2.0)(X, LEVELS["one"], COND, there=DATA)
    assert seen[-1].shape == ()


def test_the_variance_comes_with_the_halves():
    """Fails if a learned variance costs another call, or is not the conditional half's."""
    base = Counting(EXACT)
    guide = Free(base, 2.0, spreads=base)
    mean, gain = guide.spread(X, LEVELS["one"], COND, there=DATA)
    assert (base.calls, base.rows) == (1, 2 * ROWS)
    torch.testing.assert_close(mean, guide(X, LEVELS["one"], COND))
    assert bool((gain == 1.5).all())


def test_requests_of_different_wishes_share_calls():
    """Fails if a request's scale or wish reaches its neighbour in a joined batch."""
    base = Counting(EXACT)
    guide, plan = Free(base), descend(Karras()(Exploding(), 6))
    wishes = [
        scaled(Cond({"label": torch.tensor([0, 0])}), torch.tensor([4.0, 2.0])),
        scaled(Cond({"label": torch.tensor([1])}), torch.tensor([1.0])),
    ]
    starts = [80 * X[:2], 80 * X[2:3]]
    solvers = [Multistep(), Heun()]
    lone = [
        final(walk(guide, x, plan, solver, laws.ids(len(x)), cond)).x
        for x, solver, cond in zip(starts, solvers, wishes, strict=True)
    ]
    base.calls, ends = 0, {}
    traces = [trace(x, plan, s, laws.ids(len(x))) for x, s in zip(starts, solvers, strict=True)]
    for number, state in serve(guide, traces, wishes):
        ends[number] = state.x
    assert base.calls == 11  # Heun's last step asks once
    for number, alone in enumerate(lone):
        torch.testing.assert_close(ends[number], alone, rtol=1e-12, atol=1e-12)


class Following(laws.SmallNet):
    """A small network that is told a label, and nothing where it is not kept."""

    def forward(self, x, clock, cond=None):
        shift = torch.where(cond.kept("label"), cond.values["label"] + 1.0, 0.0)
        return super().forward(x, clock + shift.to(clock))


def test_exact_mode_under_guidance():
    """Fails if a guided row's bits depend on its company in the exact mode."""
    exact = Chunked(NetDenoiser(Following(), Edm()), 8)
    guide, plan = Free(exact, 2.0, interval=Interval(0.1, 5.0)), descend(Logistic()(Flow(), 4))
    cond = Cond({"label": torch.arange(6) % 3})

    def run(ids):
        noise = laws.ids(1).select(ids)
        x = noise(torch.zeros(len(ids), 3, 9, 7), 0)
        return final(walk(guide, x, plan, Euler(), noise, cond.rows(torch.tensor(ids)))).x

    whole = run(tuple(range(6)))
    for i in (0, 3, 5):
        assert torch.equal(run((i,))[0], whole[i])


def test_tokens_travel():
    """Fails if a negative sentence of another length than the wish cannot stand beside it."""

    def told(x, here, cond=None, *, there=None):
        values, mask = cond.values["text"]
        seen = (values[..., 0] * mask).sum(1) * cond.kept("text")
        return x + seen[:, None]

    wish = Tokens(torch.ones(ROWS, 3, 1).double(), torch.ones(ROWS, 3, dtype=torch.bool))
    other = Tokens(torch.ones(ROWS, 5, 1).double(), torch.ones(ROWS, 5, dtype=torch.bool))
    asked = negated(Cond({"text": wish}), Cond({"text": other}))
    got = Free(told, 2.0)(X, LEVELS["one"], asked)
    torch.testing.assert_close(got, X + 5 + 2 * (3 - 5))
    assert bare(asked).values.keys() == {"text"}
