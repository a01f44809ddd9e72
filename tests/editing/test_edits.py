"""Keeping, varying, undoing and blending: bits, levels and ways back."""

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.condition import Cond
from unmist.core.default import default_spacing
from unmist.core.exact import Gaussian, Mixture
from unmist.core.level import Level, noised
from unmist.core.plan import ancestral, ascend, descend, jumps
from unmist.core.schedule import preserving
from unmist.core.schedules import Cosine, Exploding, Flow
from unmist.core.solver import Euler
from unmist.core.walk import final, started, walk
from unmist.editing.blend import Between, slerp
from unmist.editing.invert import Undo
from unmist.editing.keep import Keep, LetGo
from unmist.editing.vary import Variation, begun

LAW = Mixture(
    torch.tensor([0.4, 0.6]),
    torch.tensor([[1.0, 1.0, 0.0], [-1.0, 0.2, 0.5]]),
    torch.stack([0.2 * torch.eye(3), 0.1 * torch.eye(3)]),
)
PICTURE = torch.tensor([[0.8, -1.3, 0.7]]).double()
KNOWN = torch.tensor([1.0, 0.0, 1.0]).double()


def ids(count):
    return Noise(0, "edits", tuple(range(count)))


@pytest.mark.parametrize("schedule", [Exploding(0.01), Flow(), Cosine()], ids=str)
def test_known_pixels_come_back_to_the_bit(schedule):
    """Fails if what is known is changed by the walk, with jumps and renoises too."""
    plan = jumps(ancestral(descend(default_spacing()(schedule, 12))), length=4, times=2)
    x = started(torch.zeros(6, 3).double(), plan, ids(6))
    last = final(walk(Keep(LAW, KNOWN, PICTURE), x, plan, Euler(), ids(6)))
    assert torch.equal(last.x[:, KNOWN == 1], PICTURE[:, KNOWN == 1].expand(6, 2))
    assert last.x[:, 1].std() > 0.05


def test_the_known_part_is_always_the_noised_picture():
    """Fails if x's known part is not alpha*y + sigma*(the noise it started with) at every level."""
    plan = descend(default_spacing()(Flow(), 10))
    x = started(torch.zeros(4, 3).double(), plan, ids(4))
    eps = ids(4)(x, 0)
    for state in walk(Keep(LAW, KNOWN, PICTURE), x, plan, Euler(), ids(4)):
        wanted = noised(PICTURE.expand(4, 3), state.level, eps)
        assert torch.allclose(state.x[:, KNOWN == 1], wanted[:, KNOWN == 1], atol=1e-9)


def test_soft_masks_mix():
    """Fails if a half known pixel is not half of each."""
    level, x = Level(1.0, 0.5), PICTURE + 0.1
    half = Keep(LAW, torch.tensor([0.5, 0.0, 1.0]).double(), PICTURE)(x, level)
    mean = LAW(x, level)
    assert torch.allclose(half[0, 0], (PICTURE[0, 0] + mean[0, 0]) / 2)
    assert torch.equal(half[0, 1], mean[0, 1])


def test_each_pixel_is_let_go_at_its_own_level():
    """Fails if a pixel is free above its strength, or held below it."""
    schedule, strength = Cosine(), torch.tensor([0.2, 0.6, 1.0]).double()
    told = LetGo(LAW, strength, PICTURE, schedule)
    x = PICTURE + 0.3
    for time in (0.1, 0.4, 0.9):
        mean, free = told(x, schedule(time)), strength >= time
        assert torch.equal(mean[:, ~free], PICTURE[:, ~free])
        assert torch.equal(mean[:, free], LAW(x, schedule(time))[:, free])
    assert torch.equal(told(x, schedule.top)[:, :2], PICTURE[:, :2])


def test_a_variation_moves_with_its_strength():
    """Fails if N steps do not stay N, if a small strength does not stay near, or 0 is taken."""
    far = []
    for strength in (0.1, 0.5, 1.0):
        vary = Variation(Cosine(), default_spacing(), 12, strength)
        plan = vary.plan()
        assert len(plan.moves) == 12
        x = begun(PICTURE, plan, ids(200))
        last = final(walk(vary.denoiser(LAW, PICTURE), x, plan, Euler(), ids(200)))
        far.append(float((last.x - PICTURE).norm(dim=1).mean()))
    assert far[0] < far[1] < far[2]
    for wrong in (0.0, 1.1):
        with pytest.raises(BadInput):
            Variation(Cosine(), default_spacing(), 12, wrong).plan()


def test_a_map_of_strengths_leaves_the_rest():
    """Fails if a pixel of strength 0 changes, or one of strength 1 does not."""
    strength = torch.tensor([0.0, 1.0, 0.0]).double()
    vary = Variation(Flow(), default_spacing(), 12, strength)
    plan = vary.plan()
    x = begun(PICTURE, plan, ids(50))
    last = final(walk(vary.denoiser(LAW, PICTURE), x, plan, Euler(), ids(50)))
    assert torch.equal(last.x[:, [0, 2]], PICTURE[:, [0, 2]].expand(50, 2))
    assert last.x[:, 1].std() > 0.05


def test_undo_undoes():
    """Fails if Euler's way down does not repeat the way up to the accuracy of the search."""
    levels = preserving(torch.linspace(-6, 5, 8, dtype=torch.float64))
    bottom = preserving(torch.tensor(8.0).double())
    data = LAW.sample(40, seed=3)
    missed = []
    for rounds in (1, 4, 60):
        x = final(walk(LAW, bottom.alpha * data, ascend(levels, bottom), Undo(rounds), ids(40))).x
        back = final(walk(LAW, x, descend(levels, bottom), Euler(), ids(40))).x
        missed.append(float((back / bottom.alpha - data).abs().max()))
    assert missed[2] < 1e-6
    assert missed[2] < missed[1] < missed[0]


def test_slerp():
    """Fails if the ends are not the ends, the length is lost on the way, or equal noises break."""
    draw = np.random.default_rng(0)
    a, b = torch.from_numpy(draw.standard_normal((2, 3, 1, 20, 20)))
    assert torch.allclose(slerp(a, b, 0.0), a)
    assert torch.allclose(slerp(a, b, 1.0), b)
    middle = slerp(a, b, torch.tensor([0.5, 0.5, 0.5]))
    lengths = (a.flatten(1).norm(dim=1) + b.flatten(1).norm(dim=1)) / 2
    assert torch.allclose(middle.flatten(1).norm(dim=1), lengths)
    assert torch.allclose(slerp(a, a, 0.3), a)


def test_between_two_wishes():
    """Fails if the ends are not the wishes alone, or the middle is not their mean."""

    class Wished:
        calls = 0

        def __call__(self, x, here, cond=None, *, there=None):
            self.calls += 1
            return x * cond.values["number"][:, None]

    x, level = torch.ones(2, 3).double(), Level(1.0, 1.0)
    first, second = (Cond({"number": torch.tensor([v, v]).double()}) for v in (1.0, 3.0))
    for share, wanted in ((0.0, 1.0), (1.0, 3.0), (0.5, 2.0), (torch.tensor([0.0, 0.5]), None)):
        denoise = Wished()
        mean = Between(denoise, second, share)(x, level, first)
        assert denoise.calls == 1
        factor = torch.tensor([[1.0], [2.0]]) if wanted is None else wanted
        assert torch.allclose(mean, factor * x)


def test_the_exact_conditional():
    """Fails if `given` is not the conditional law: Bayes by the joint density, and moments."""
    operator, y = torch.eye(3)[:1].double(), torch.tensor([0.3]).double()
    exact = LAW.given(operator, y)
    free = torch.linspace(-2, 2, 5).double()
    points = torch.stack([torch.full((5,), 0.3).double(), free, 0.5 * free], 1)
    joint = LAW.log_prob(points) - exact_marginal(exact, points)
    assert torch.allclose(joint, joint[:1].expand(5), atol=1e-9)
    loose = Gaussian(torch.zeros(3), torch.eye(3)).given(operator, torch.tensor([1.0]), 1.0)
    assert torch.allclose(loose.means[0], torch.tensor([0.5, 0.0, 0.0]).double())
    assert torch.allclose(loose.covs[0].diagonal(), torch.tensor([0.5, 1.0, 1.0]).double())


def exact_marginal(exact, points):
    """log density over the two free coordinates."""
    inner = Mixture(exact.weights, exact.means[:, 1:], exact.covs[:, 1:, 1:])
    return inner.log_prob(points[:, 1:])
