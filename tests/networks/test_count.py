"""Counts against sums by hand, and the figures the docstrings state."""

import pytest
import torch

from unmist.core.condition import Sockets
from unmist.networks.count import count, kept_bytes, signals_for
from unmist.networks.dit import DiT
from unmist.networks.unet import UNet


def test_the_count_of_a_small_unet_is_the_sum_by_hand():
    # fails if operations are counted twice, or a layer is left out
    shape = (3, 8, 8)
    net = UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=(), head=8).build(shape, Sockets())
    fine, coarse = 16, 4
    stem = last = fine * 12 * 8
    blocks = 4 * fine * 9 * 8 * 8 + 4 * coarse * 9 * 16 * 16
    between = coarse * 9 * 8 * 16 + coarse * 16 * 8
    told = 64 * 32 + 32 * 32 + 32 * (2 * 2 * 8 + 2 * 2 * 16)
    assert count(net, shape, Sockets()).multiply_adds == stem + last + blocks + between + told


def test_the_count_of_attention_is_the_sum_by_hand():
    # fails if fused attention is not counted; 16 tokens and the one learned
    shape, width, places = (2, 12), 8, 6
    sockets = Sockets(tokens=5)
    net = DiT(width=width, depth=1, head=4, patch=2, ratio=2).build(shape, sockets)
    edges = places * 4 * width * 2
    told = 64 * width + width * width + width * 8 * width
    own = places * 4 * width**2 + 2 * places**2 * width
    other = places * 2 * width**2 + 17 * 5 * 2 * width + 2 * places * 17 * width
    wide = places * 2 * 2 * width**2
    assert count(net, shape, sockets).multiply_adds == edges + told + own + other + wide


@pytest.mark.parametrize("settings", [UNet(), DiT()])
def test_docstrings_state_the_true_figures(settings):
    # fails if a default changes and its docstring does not
    shape = (3, 32, 32)
    size = count(settings.build(shape, Sockets()), shape, Sockets())
    words = " ".join(type(settings).__doc__.split())
    stated = f"{size.parameters / 1e6:.1f} M parameters and {size.multiply_adds / 1e6:.0f} M mult"
    assert stated in words, stated


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 16, 16, 16)])
def test_kept_bytes_are_those_of_a_real_pass(shape):
    """Fails if what is counted without computing is not what torch keeps when it computes."""
    net = UNet(width=16, attention=()).build(shape, Sockets()).train()
    kept = {}
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}

    def seen(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes(), storage
        return tensor

    x = torch.zeros(1, *shape)
    with torch.autograd.graph.saved_tensors_hooks(seen, lambda tensor: tensor):
        net(x, x.new_zeros(1), signals_for(x, Sockets()))
    real = sum(size for size, _ in kept.values())
    assert kept_bytes(net, shape, Sockets()) == pytest.approx(real, rel=0.1)
