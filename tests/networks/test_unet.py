"""The U-Net's own promises, beyond the laws of the family."""

from dataclasses import replace

import pytest
import torch

from unmist.base.faults import BadInput
from unmist.core.condition import Signals, Sockets
from unmist.networks.count import count, kept_bytes
from unmist.networks.unet import UNet, channels_last
from unmist.nn.attention import forward_mode

TINY = UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=(), head=8)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (dict(levels=(), blocks=()), "network: no levels"),
        (dict(width=0), "network: a size of 0"),
        (dict(blocks=(1,)), "network: 3 levels but blocks for 1"),
        (dict(attention=(3,)), r"network: attention at levels \(3,\) of 3"),
        (dict(dropout=1.0), r"network: dropout 1.0"),
    ],
)
def test_settings_that_cannot_be_built_are_refused(settings, line):
    # fails if a wrong setting is found out by torch, later and in other words
    with pytest.raises(BadInput) as fault:
        UNet(**settings)
    assert str(fault.value).startswith(line.replace("\\", ""))


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3, 4, 5), (0, 4)])
def test_shapes_that_cannot_be_served_are_refused(shape):
    # fails if a missing or a fourth axis is taken
    with pytest.raises(BadInput, match="a sample of shape"):
        UNet().build(shape, Sockets())


def test_without_attention_a_far_pixel_has_no_say():
    # fails if the field of view is not that of the convolutions (group norm sees all: taken out)
    net = TINY.build((1, 64), Sockets())
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=g))
    for module in list(net.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.GroupNorm):
                setattr(module, name, torch.nn.Identity())
    for stage in (*net.down, *net.up):
        for block in stage.blocks:
            block.forward = plain(block)
    x = torch.zeros(1, 1, 64)
    bump = x.clone()
    bump[..., 32] = 1
    moved = (net(bump, torch.zeros(1), Signals()) - net(x, torch.zeros(1), Signals()))[0, 0].abs()
    # fold 2, fine blocks 2 + 2 places of 2 pixels, coarse 4 convolutions of 4 pixels, and the step
    near = moved.nonzero().flatten()
    assert near.min() > 0
    assert near.max() < 63
    assert near.max() - near.min() > 16


def plain(block):
    return lambda x, change: x + block.second(torch.tanh(block.first(x)))


def test_the_inner_layout_is_channels_last_except_in_forward_mode():
    # fails if the fast layout is lost, or if group norm meets it where it has no derivative
    x = torch.zeros(2, 3, 4, 5)
    assert channels_last(x).is_contiguous(memory_format=torch.channels_last)
    with forward_mode():
        assert channels_last(x).is_contiguous()


def test_layouts_of_the_input_do_not_matter():
    # fails if the answer depends on how the caller laid out its pictures
    net = replace(TINY, attention=(1,)).build((3, 8, 8), Sockets())
    torch.nn.init.normal_(net.last.weight)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    one = net(x, torch.zeros(2), Signals())
    two = net(x.contiguous(memory_format=torch.channels_last), torch.zeros(2), Signals())
    assert one.is_contiguous()
    torch.testing.assert_close(one, two)


def test_it_learns_a_denoiser_of_two_points():
    # fails if clock, skip sums or output do not work together: the truth is tanh(x / sigma^2);
    # without the clock no answer is nearer than 0.25 at both ends
    net = TINY.build((1, 1), Sockets())
    g = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), 2e-2)
    for _ in range(100):
        x0 = torch.randint(0, 2, (256, 1, 1), generator=g) * 2.0 - 1
        log_sigma = torch.rand(256, generator=g) * 2 - 1
        x = x0 + log_sigma.exp()[:, None, None] * torch.randn(x0.shape, generator=g)
        optimizer.zero_grad()
        (net(x, log_sigma, Signals()) - x0).square().mean().backward()
        optimizer.step()
    x = torch.linspace(-2, 2, 41)[:, None, None]
    for log_sigma in (-0.8, 0.0, 0.8):
        truth = torch.tanh(x / torch.tensor(2 * log_sigma).exp())
        got = net(x, torch.full((41,), log_sigma), Signals())
        assert (got - truth).abs().mean() < 0.2


@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 8, 8, 8)])
def test_recomputing_changes_no_bit_and_keeps_less(shape):
    # fails if a gradient changes, dropout is drawn anew on the way back, or nothing is saved
    plain = UNet(width=16, levels=(1, 2), blocks=(2, 1), attention=(1,), dropout=0.3)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    grads = []
    for settings in (plain, replace(plain, recompute=True)):
        net = settings.build(shape, Sockets()).train()
        torch.nn.init.normal_(net.last.weight, generator=torch.Generator().manual_seed(1))
        torch.manual_seed(7)
        (net(x, torch.zeros(2), Signals()) ** 2).sum().backward()
        grads.append([p.grad for p in net.parameters()])
    for one, other in zip(*grads, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)
    sizes = [
        kept_bytes(settings.build(shape, Sockets()), shape, Sockets())
        for settings in (plain, replace(plain, recompute=True))
    ]
    assert sizes[1] < 0.6 * sizes[0]


def test_attention_apart_costs_less_and_needs_two_axes():
    """Fails if frames and places apart cost no less on a clip, or a series takes it."""
    plain = UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=(1,), head=8, fold=1)
    apart = replace(plain, factorised=True)
    shape, nothing = (1, 16, 16, 16), Sockets()
    whole, parts = (count(one.build(shape, nothing), shape, nothing) for one in (plain, apart))
    assert parts.multiply_adds < 0.9 * whole.multiply_adds
    assert parts.parameters > whole.parameters
    with pytest.raises(BadInput, match="one axis has no slices"):
        apart.build((1, 16), nothing)


def woken(net):
    """The network with weights that are not zero where new ones are."""
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=g))
    return net.eval()


@pytest.mark.parametrize("shape", [(1, 10), (2, 7, 6, 6)])
def test_a_level_a_frame(shape):
    """Fails if equal levels of all frames are not one level, or a frame's own has no say."""
    net = woken(TINY.build(shape, Sockets(frames=1)))
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    clock = torch.tensor([0.5, -1.0])
    with torch.no_grad():
        one = net(x, clock, Signals())
        each = clock[:, None, None].repeat(1, 1, shape[1])
        torch.testing.assert_close(net(x, each, Signals()), one, atol=1e-5, rtol=1e-5)
        each[:, :, 1] += 2  # of a cell of two frames: not the same as the other's
        late = net(x, each, Signals())
        each[:, :, 1], each[:, :, 0] = each[:, :, 0].clone(), each[:, :, 1].clone()
        early = net(x, each, Signals())
    assert float((late - one).abs().max()) > 0.01
    assert float((late - early).abs().max()) > 0.001


def test_a_level_a_frame_is_refused_where_the_network_knows_one():
    """Fails if levels that it was not built for are averaged or misread in silence."""
    net = TINY.build((1, 8), Sockets())
    with pytest.raises(BadInput, match="knows one level a sample"):
        net(torch.zeros(1, 1, 8), torch.zeros(1, 1, 8), Signals())
