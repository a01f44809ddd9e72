"""Guidance against closed forms: at every level the mean of the tilted law."""

import core_laws as laws
import pytest
import torch
from guided import COND, EXACT, LABEL, LEVELS, ROWS, TWO, X, crossed, double

from unmist.core.condition import Cond
from unmist.core.exact import Mixture
from unmist.core.labelled import Labelled
from unmist.core.level import NOISE, Level
from unmist.core.plan import descend
from unmist.core.schedules import Exploding
from unmist.core.solver import Heun
from unmist.core.spacing import Karras
from unmist.core.walk import final, walk
from unmist.guidance.auto import Auto
from unmist.guidance.classifier import Classified
from unmist.guidance.free import Free
from unmist.guidance.threshold import Rescaled, Thresholded
from unmist.guidance.wish import AUTO, CLASSIFIER, FREE, negated, scaled


def tilted(log_p, x, level):
    """The mean (x + sigma^2*grad log p)/alpha of a law that is known up to a constant."""
    at = x.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(log_p(at).sum(), at)
    here = level.like(x)
    return (x + here.sigma**2 * slope) / here.alpha


def everything(base):
    """Every guidance over `base`, as functions of a scale."""
    return {
        "free": lambda scale: Free(base, scale),
        "free by name": lambda scale: Free(base, scales={"label": scale}),
        "rescaled": lambda scale: Rescaled(Free(base, scale)),
        "thresholded": lambda scale: Thresholded(Free(base, scale), reach=(50.0,)),
        "classifier": lambda scale: Classified(Free(base, 0.0), EXACT.posterior, scale),
    }


@pytest.mark.parametrize("scale", [-1.0, 0.0, 0.5, 1.0, 2.0, 7.5])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["free", "free by name", "classifier"])
def test_the_guided_mean_is_the_tilted_laws(kind, level, scale):
    """Fails if the mean is not that of p_t(x)^(1 - scale)*p_t(x|c)^scale, which autograd gives."""
    here = LEVELS[level]
    want = tilted(
        lambda x: (1 - scale) * EXACT.log_prob(x, here) + scale * EXACT.log_prob(x, here, COND),
        X,
        here,
    )
    got = everything(EXACT)[kind](scale)(X, here, COND)
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scale", [0.5, 2.0, 4.0])
def test_between_gaussians_by_hand(scale):
    """Fails if, for Gaussians, the mean is not that of the Gaussian of mixed precisions."""
    means, covs = torch.tensor([[0.0, 0.2], [0.9, -0.4]]).double(), torch.zeros(2, 2, 2).double()
    covs[0], covs[1] = torch.tensor([[1.0, 0.3], [0.3, 0.8]]), 0.3 * torch.eye(2)
    whole, part = (Mixture(torch.ones(1), means[i : i + 1], covs[i : i + 1]) for i in (0, 1))

    def told(x, here, cond=None, *, there=None):
        return torch.where(cond.kept("c")[:, None], part(x, here), whole(x, here))

    a, s = 0.7, 0.9
    level, eye = Level(double(a), double(s)), torch.eye(2).double()
    precise = [torch.linalg.inv(a**2 * cov + s**2 * eye) for cov in covs]
    joint = (1 - scale) * precise[0] + scale * precise[1]
    centre = torch.linalg.solve(
        joint, (1 - scale) * precise[0] @ (a * means[0]) + scale * precise[1] @ (a * means[1])
    )
    want = (X - s**2 * (X - centre) @ joint) / a
    got = Free(told, scale)(X, level, Cond({"c": torch.zeros(ROWS)}))
    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)


def test_several_conditions_are_their_product():
    """Fails if scale 1 of each is not the exact joint conditional of independent labels."""
    exact, here = crossed(), LEVELS["a row each"]
    got = Free(exact, scales={"a": 1.0, "b": 1.0})(X, here, TWO)
    torch.testing.assert_close(got, exact(X, here, TWO), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(Free(exact, 1.0)(X, here, TWO), exact(X, here, TWO))


@pytest.mark.parametrize("scales", [{"a": 3.0, "b": 0.5}, {"a": 2.0}, {"b": 4.0, "a": 0.0}])
def test_several_scales_are_the_tilted_product(scales):
    """Fails if the mean is not that of p_t(x)*prod (p_t(x|c_i)/p_t(x))^scale_i."""
    exact, here, each = crossed(), LEVELS["a row each"], {"a": 1.5, "b": 1.5, **scales}

    def log_p(x):
        alone = exact.log_prob(x, here)
        return alone + sum(
            each[name] * (exact.log_prob(x, here, TWO.without(other)) - alone)
            for name, other in (("a", "b"), ("b", "a"))
        )

    got = Free(exact, 1.5, scales=scales)(X, here, TWO)
    torch.testing.assert_close(got, tilted(log_p, X, here), rtol=1e-10, atol=1e-10)


def test_a_negative_wish_stands_where_nothing_stood():
    """Fails if the mean is not that of p_t(x|n)^(1 - scale)*p_t(x|c)^scale in the rows with n."""
    here, rows = LEVELS["a row each"], torch.arange(ROWS) < 5
    asked = negated(COND, Cond({"label": 1 - LABEL}, {"label": rows}))
    got = Free(EXACT, 3.0)(X, here, asked)
    other = torch.where(rows[:, None], EXACT(X, here, Cond({"label": 1 - LABEL})), EXACT(X, here))
    torch.testing.assert_close(got, other + 3 * (EXACT(X, here, COND) - other))


@pytest.mark.parametrize("kind", everything(EXACT))
@pytest.mark.parametrize("level", LEVELS)
def test_scale_one_and_zero(kind, level):
    """Fails if scale 1 is not the conditional model, scale 0 the unconditional one."""
    here, make = LEVELS[level], everything(EXACT)[kind]
    torch.testing.assert_close(
        make(1.0)(X, here, COND), EXACT(X, here, COND), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(make(0.0)(X, here, COND), EXACT(X, here), rtol=1e-12, atol=1e-12)
    if kind.startswith(("free", "rescaled")):
        assert torch.equal(make(1.0)(X, here, COND), EXACT(X, here, COND))
        assert torch.equal(make(0.0)(X, here, COND), EXACT(X, here))


@pytest.mark.parametrize("kind", everything(EXACT))
def test_keep_false_is_no_condition(kind):
    """Fails if a row that keeps no condition is led anywhere, or others are not."""
    here, guide = LEVELS["a row each"], everything(EXACT)[kind](3.0)
    rows = torch.arange(ROWS) % 2 == 0
    got = guide(X, here, Cond({"label": LABEL}, {"label": rows}))
    none, all_ = guide(X, here, None), guide(X, here, COND)
    torch.testing.assert_close(got, torch.where(rows[:, None], all_, none), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(none, EXACT(X, here), rtol=1e-12, atol=1e-12)
    assert float((all_ - none).abs().max()) > 0.01


@pytest.mark.parametrize("kind", [*everything(EXACT), "auto"])
@pytest.mark.parametrize("level", LEVELS)
def test_rows_keep_what_is_theirs(kind, level):
    """Fails if permuted rows do not give permuted answers, scales and masks with them."""
    auto = {"auto": lambda scale: Auto(Free(EXACT, 1.0), lambda x, *_, there=None: x / 2, scale)}
    guide = (everything(EXACT) | auto)[kind](2.0)
    scale = torch.linspace(0, 4, ROWS)
    cond = Cond({"label": LABEL}, {"label": LABEL + torch.arange(ROWS) != 3})
    for entry in (FREE, FREE + "label", AUTO, CLASSIFIER):
        cond = scaled(cond, scale, entry)
    cond = negated(cond, Cond({"label": 1 - LABEL}, {"label": torch.arange(ROWS) > 5}))
    order, here = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4]), LEVELS[level]
    whole = guide(X, here, cond)
    mixed = guide(X[order], here.rows(ROWS)[order], cond.rows(order))
    torch.testing.assert_close(mixed, whole[order], rtol=1e-13, atol=1e-13)
    halves = [cond.rows(torch.arange(4)), cond.rows(torch.arange(4, 8))]
    torch.testing.assert_close(guide(X, here, Cond.join(halves)), whole)


def test_a_scale_a_row():
    """Fails if a row's own scale is not what leads it."""
    here, scale = LEVELS["a row each"], torch.tensor([0.0, 1, 2, 3, 4, 0.5, -1, 8])
    got = Free(EXACT, 99.0)(X, here, scaled(COND, scale))
    none, all_ = EXACT(X, here), EXACT(X, here, COND)
    torch.testing.assert_close(got, none + scale[:, None] * (all_ - none))
    for row, own in enumerate(scale):
        one = torch.tensor([row])
        alone = Free(EXACT, float(own))(X[one], here[one], COND.rows(one))
        torch.testing.assert_close(alone, got[one])


@pytest.mark.parametrize("kind", everything(EXACT))
def test_scale_free(kind):
    """Fails if D(c*x, c*level) is not D(x, level), or if anything breaks at NOISE."""
    guide, here = everything(EXACT)[kind](2.5), LEVELS["a row each"]
    scaled_ = guide(7 * X, Level(7 * here.alpha, 7 * here.sigma), COND)
    torch.testing.assert_close(scaled_, guide(X, here, COND), rtol=1e-9, atol=1e-9)
    assert bool(guide(X, NOISE, COND).isfinite().all())


# ---- autoguidance, rescale, threshold ---


def test_autoguidance_is_the_line_through_both():
    """Fails if the mean is not that of p_weak^(1 - scale)*p^scale, or 1 and 0 are not the ends."""
    weak = Labelled(
        Mixture(torch.ones(3), EXACT.mixture.means, EXACT.mixture.covs + 0.3 * torch.eye(2)),
        EXACT.told,
    )
    here = LEVELS["a row each"]
    for scale in (0.0, 1.0, 2.0, 3.5):
        want = tilted(
            lambda x, s=scale: (
                (1 - s) * weak.log_prob(x, here, COND) + s * EXACT.log_prob(x, here, COND)
            ),
            X,
            here,
        )
        got = Auto(EXACT, weak, scale)(X, here, COND)
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-10)
    assert torch.equal(Auto(EXACT, weak, 1.0)(X, here, COND), EXACT(X, here, COND))
    assert torch.equal(Auto(EXACT, weak, 0.0)(X, here, COND), weak(X, here, COND))


# ---- whole samples ---


def test_samples_against_a_fine_run():
    """Fails if a guided plan does not converge to its own ODE (which is not the tilted law's)."""
    guide = Free(EXACT, 3.0)
    x = 80 * laws.normal(ROWS, 2, seed=4)

    def run(steps, solver):
        return final(
            walk(
                guide,
                x,
                descend(Karras(high=80.0)(Exploding(), steps)),
                solver,
                laws.ids(ROWS),
                COND,
            )
        ).x

    fine = run(200, Heun())
    coarse, better = ((run(n, Heun()) - fine).pow(2).mean().sqrt() for n in (10, 40))
    assert float(better) < 0.02
    assert float(better) < float(coarse) / 6
