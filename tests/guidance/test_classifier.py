"""Classifier guidance by a network: scale-free, by class, taught at every level."""

import core_laws as laws
import torch
from guided import ROWS, double

from unmist.core.condition import Cond
from unmist.core.exact import Mixture
from unmist.core.labelled import Labelled
from unmist.core.level import NOISE, Level, noised
from unmist.core.objective import LogNormal
from unmist.core.prediction import Edm
from unmist.core.schedules import Exploding
from unmist.guidance.classifier import Classified, NetPosterior
from unmist.networks.encoder import Encoder
from unmist.training.classify import Classifying
from unmist.training.ema import Average
from unmist.training.loop import Batches, Learner, Schooling
from unmist.training.optimizer import AdamW

SMALL = Encoder(width=8, levels=(1, 2), attention=(), dropout=0.0)
EXACT = Labelled(
    Mixture(
        torch.ones(2),
        torch.tensor([[-1.0, 1, 0], [1.0, 0, -1]]),
        0.2 * torch.eye(3)[None].repeat(2, 1, 1),
    ),
    {"label": torch.eye(2)},
)
SHIFT = torch.tensor([[[-1.0], [1.0]], [[1.0], [-1.0]]])


def alive(net):
    """The same network with a head that answers."""
    with torch.no_grad():
        net.head.weight.copy_(
            torch.linspace(-1, 1, net.head.weight.numel()).reshape_as(net.head.weight)
        )
    return net.requires_grad_(False).eval()


def test_an_encoder_says_nothing_when_new():
    """Fails if a new classifier leads anywhere, or takes only one number of axes."""
    for shape in ((3, 9), (1, 9, 7), (2, 5, 6, 7)):
        net = SMALL.build(shape, 4)
        assert sum(p.numel() for p in net.parameters()) < 50_000
        logits = net(torch.randn(2, *shape), torch.zeros(2))
        assert torch.equal(logits, torch.zeros(2, 4))
    assert torch.equal(*(SMALL.build((1, 8, 8), 4, seed=3).stem.weight for _ in range(2)))


def test_a_network_leads_alike_at_every_scale():
    """Fails if the classifier sees how x is scaled, or breaks at NOISE."""
    net = alive(SMALL.build((1, 8, 8), 3).double())
    guide = Classified(
        lambda x, *_, there=None: 0 * x, NetPosterior(net, Edm()), 2.0, follows=False
    )
    x, cond = laws.normal(ROWS, 1, 8, 8), Cond({"label": torch.arange(ROWS) % 3})
    here = Level(torch.ones(ROWS), torch.logspace(-1, 1, ROWS))
    slope = guide(x, here, cond)
    assert float(slope.abs().max()) > 0
    again = guide(9 * x, Level(9 * here.alpha, 9 * here.sigma), cond)
    torch.testing.assert_close(again, slope, rtol=1e-6, atol=1e-9)
    assert bool(guide(x, NOISE, cond).isfinite().all())


def test_a_model_that_follows_no_class_is_not_told():
    """Fails if an unconditional model is handed the class, or a row without one is led."""
    seen = []

    def told(x, here, cond=None, *, there=None):
        seen.append(cond)
        return EXACT(x, here)

    kept = torch.arange(ROWS) < 3
    x, here = laws.normal(ROWS, 3), Level(double(1.0), double(0.7))
    cond = Cond({"label": torch.where(kept, 1, -1)}, {"label": kept})
    got = Classified(told, EXACT.posterior, 1.0, follows=False)(x, here, cond)
    assert seen == [None]
    torch.testing.assert_close(got, EXACT(x, here, cond), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got[3:], EXACT(x, here)[3:], rtol=1e-12, atol=1e-12)


def test_it_learns_the_posterior_of_noisy_samples():
    """Fails if a classifier taught by the training step does not come near p(c | x_t)."""
    task = Classifying(Exploding(), Edm(), LogNormal(mean=0.0, std=1.0))

    def fetch(rows):
        label = torch.from_numpy(rows % 2)
        spread = torch.from_numpy(rows / 500.0).float().reshape(-1, 1, 1).sin()
        x0 = SHIFT[label].expand(-1, 2, 6) + 0.3 * spread
        return x0, Cond({"label": label})

    learner = Learner(
        net=SMALL.build((2, 6), 2),
        objective=task,
        optimizer=AdamW(rate=5e-3),
        average=Average(),
        schooling=Schooling(samples=6400, batch=64, drop=0.0),
        batches=Batches(1000, fetch),
    )
    while not learner.done:
        learner.advance()
    posterior = NetPosterior(learner.ema, Edm())
    label, eps = torch.arange(400) % 2, laws.normal(400, 2, 6).float()
    for ratio, least, most in ((0.3, 0.97, 1.0), (30.0, 0.45, 0.75)):
        level = Level(torch.tensor(1.0), torch.tensor(ratio))
        told = posterior(noised(SHIFT[label].expand(-1, 2, 6), level, eps), level)
        torch.testing.assert_close(told.exp().sum(1), torch.ones(400))
        right = float((told.argmax(1) == label).double().mean())
        assert least <= right <= most, (ratio, right)


def test_rows_without_a_class_count_nothing():
    """Fails if a row of label -1 has a loss."""
    task = Classifying(Exploding(), Edm(), LogNormal())
    net, x = SMALL.build((2, 6), 2), torch.ones(3, 2, 6)
    cond = Cond({"label": torch.tensor([0, -1, 1])}, {"label": torch.tensor([True, False, True])})
    loss = task(net, x, torch.zeros_like(x), Level(torch.ones(3), torch.ones(3)), cond)
    torch.testing.assert_close(loss, torch.tensor([0.6931, 0.0, 0.6931]), rtol=0, atol=1e-4)
