"""What the bottlenecks cost and choose, against closed forms."""

import torch
from torch.distributions import Normal, kl_divergence

from unmist.codecs.bottleneck import Kl, Vq


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_price_of_a_gaussian_is_its_divergence_from_the_normal():
    """Fails if the formula, the sum over a row or the weight is wrong."""
    raw, eps = draw(4, 6, 5), draw(4, 3, 5, seed=1)
    latents, price = Kl(weight=0.5).build(3).drawn(raw, eps)
    mean, log_variance = raw[:, :3], raw[:, 3:]
    spread = (log_variance / 2).exp()
    torch.testing.assert_close(latents, mean + spread * eps)
    exact = kl_divergence(Normal(mean, spread), Normal(0.0, 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(price, 0.5 * exact)
    assert torch.equal(Kl().build(3).mean(raw), mean)


def test_the_nearest_code_is_chosen():
    """Fails if the distance is not Euclidean, or places and channels are mixed up."""
    module = Vq(codes=7).build(2)
    with torch.no_grad():
        module.turn.weight.add_(0.3 * draw(2, 2, seed=2))
    latents = draw(3, 2, 4, 5, seed=3)
    apart = (latents[:, None] - module.codes()[None, :, :, None, None]).square().sum(2)
    assert torch.equal(module.chosen(latents), apart.argmin(1))
    torch.testing.assert_close(
        (module.given(latents) - latents).square().sum(1), apart.amin(1), atol=1e-5, rtol=1e-5
    )


def test_gradients_go_straight_through_and_pull_both_ways():
    """Fails if the codes or the encoder learn nothing, or the price is not as in 1711.00937."""
    module, raw = Vq(codes=5, commit=0.25).build(2), draw(1, 2, 3, seed=4).requires_grad_()
    given, price = module.drawn(raw, raw)
    torch.testing.assert_close(given, module.given(raw), atol=1e-6, rtol=1e-5)
    off = (raw - module.given(raw)).detach()
    torch.testing.assert_close(price, 1.25 * off.square().flatten(1).sum(1))
    given.sum().backward(retain_graph=True)
    assert torch.equal(raw.grad, torch.ones_like(raw))
    raw.grad = None
    price.sum().backward()
    torch.testing.assert_close(raw.grad, 2 * 0.25 * off)
    torch.testing.assert_close(module.turn.bias.grad, -2 * off.sum((0, 2)), atol=1e-5, rtol=1e-5)
