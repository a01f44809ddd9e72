"""What an autoencoder is taught by."""

import torch
from torch import nn

from unmist.codecs.latent import Latent
from unmist.core.level import DATA
from unmist.networks.critic import Critic
from unmist.training.reconstruct import Coding, Reconstructing, Taught, apart, reversed_gradient


class Halved(nn.Module):
    """Gives half back, at a price of 3."""

    def repeated(self, x, eps):
        return x / 2, torch.full((len(x),), 3.0)


def test_the_loss_is_the_sum_of_its_terms():
    """Fails if a weight is lost, a mean is a sum, or the price is left out."""
    x = torch.tensor([[[2.0, -4.0]], [[0.0, 8.0]]])
    lesson = Reconstructing(Coding(squared=0.5))
    loss = lesson(Taught(Halved(), None), x, x, lesson.levels(torch.rand(2)))
    torch.testing.assert_close(loss, torch.tensor([1.5 + 0.5 * 2.5, 2 + 0.5 * 8]) + 3)
    assert lesson.levels(torch.rand(2).double()).is_data
    assert DATA.is_data
    seen = Reconstructing(Coding(squared=0, perceptual=2.0), lambda v: [v, 3 * v])
    alike = seen(Taught(Halved(), None), x, x, DATA)  # half a vector points the same way
    torch.testing.assert_close(alike, torch.tensor([1.5, 2.0]) + 3)
    far = apart([torch.tensor([[[1.0], [0.0]]])], [torch.tensor([[[0.0], [5.0]]])])
    torch.testing.assert_close(far, torch.tensor([2.0]))


def test_the_reversed_gradient():
    """Fails if the coder is led down the critic's loss instead of up."""
    x = torch.ones(2, 3, requires_grad=True)
    y = reversed_gradient(x, 0.25)
    assert torch.equal(y, x)
    (y * 8).sum().backward()
    assert torch.equal(x.grad, torch.full((2, 3), -2.0))


def test_critic_and_coder_learn_from_one_loss():
    """Fails if either gets no gradient, or the critic's head pulls the coder the wrong way."""
    coder = Latent(factor=2, channels=2, width=4).build((1, 9, 7), 0)
    net = Taught(coder, Critic(width=4).build((1, 9, 7)))
    with torch.no_grad():
        net.critic.head.weight.fill_(0.1)
        net.coder.last.weight.fill_(0.01)
    x = torch.randn(2, 1, 9, 7, generator=torch.Generator().manual_seed(0))
    Reconstructing(Coding(adversary=0.5))(net, x, x, DATA).sum().backward()
    for part in (net.critic.head, net.critic.stem, net.coder.last):
        assert part.weight.grad.abs().max() > 0
