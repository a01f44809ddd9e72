"""How large a network is and what one sample costs, measured rather than estimated."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unmist.core.condition import Signals, Sockets, Tokens
from unmist.nn.attention import forward_mode

__all__ = ["Count", "count", "kept_bytes", "signals_for"]


@dataclass(frozen=True)
class Count:
    """parameters that are trained; multiply_adds of one forward pass of one sample."""

    parameters: int
    multiply_adds: int


def count(net: nn.Module, shape: tuple[int, ...], sockets: Sockets) -> Count:
    """Runs one sample of shape (c, *s) through the net and counts convolutions and products.

    Normalisations and other work on single numbers are not counted, as is the custom; a training
    step costs about three times as many. Tokens are taken as sixteen.
    """
    weights = [p for p in net.parameters() if p.requires_grad]
    like = weights[0]
    x = torch.zeros(1, *shape, dtype=like.dtype, device=like.device)
    # the counter does not know the CPU's fused attention: forward mode has the plain products
    with torch.no_grad(), forward_mode(), FlopCounterMode(display=False) as counter:
        net(x, x.new_zeros(1), signals_for(x, sockets))
    return Count(sum(p.numel() for p in weights), counter.get_total_flops() // 2)


def kept_bytes(net: nn.Module, shape: tuple[int, ...], sockets: Sockets) -> int:
    """Bytes that one sample of shape (c, *s) keeps for the way back; nothing is computed.

    Each stored tensor once, weights not counted. A network that recomputes keeps less.
    """
    plain = copy.deepcopy(net).to("meta").train().requires_grad_(True)
    own = {parameter.untyped_storage()._cdata for parameter in plain.parameters()}
    kept: dict[int, tuple[int, object]] = {}

    def seen(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes(), storage  # held, so that no number comes twice
        return tensor

    x = torch.zeros(1, *shape, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(seen, lambda tensor: tensor):
        plain(x, x.new_zeros(1), signals_for(x, sockets))
    return sum(size for size, _ in kept.values())


def signals_for(x: torch.Tensor, sockets: Sockets, tokens: int = 16) -> Signals:
    """Zeros for every socket there is, beside x (b, c, *s): to measure and to export with."""
    rows = len(x)
    mask = torch.ones(rows, tokens, dtype=torch.bool, device=x.device)
    return Signals(
        vector=x.new_zeros(rows, sockets.vector) if sockets.vector else None,
        tokens=Tokens(x.new_zeros(rows, tokens, sockets.tokens), mask) if sockets.tokens else None,
        map=x.new_zeros(rows, sockets.map, *x.shape[2:]) if sockets.map else None,
    )
