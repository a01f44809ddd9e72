"""Attention over places and over tokens: one function, and the switch of forward mode."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["CrossAttention", "SelfAttention", "attend", "forward_mode", "in_forward_mode"]


@contextmanager
def forward_mode() -> Iterator[None]:
    """Inside, a network can be differentiated forward (`torch.func.jvp`) on every device.

    Fused attention has no forward derivative on a CPU and group norm none in channels-last layout
    (torch 2.13): inside, attention is the plain formula and the layout the plain one.
    """
    with sdpa_kernel(SDPBackend.MATH):
        yield


def in_forward_mode() -> bool:
    """Whether the plain formula is asked for; torch's own setting is the only state."""
    return not torch.backends.cuda.flash_sdp_enabled()


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None) -> Tensor:
    """softmax(q kᵀ / sqrt(width of a head)) v: (b, n, c), (b, m, c), (b, m, c) -> (b, n, c).

    mask (b, m) bool says which keys exist; at least one a row must. Vaswani et al. 2017, eq. 1.
    """
    split = [x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value)]
    seen = None if mask is None else mask[:, None, None, :]
    mixed = scaled_dot_product_attention(*split, attn_mask=seen)
    return mixed.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """(b, n, c) -> (b, n, c) among the places of one sample.

    Not zero when new: a gate or a zeroed `out` makes it so, and both at once never wake up.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Every place asks every place, or those of mask (b, n) bool."""
        query, key, value = self.mix(x).chunk(3, 2)
        return self.out(attend(query, key, value, self.heads, mask))


class CrossAttention(nn.Module):
    """Places (b, n, c) ask tokens (b, m, k) with mask (b, m) -> (b, n, c); zero when new.

    One learned token is always there, so a row whose every token is masked has something to see.
    """

    def __init__(self, width: int, token_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(token_width)
        self.nothing = nn.Parameter(torch.randn(token_width))
        self.ask = nn.Linear(width, width)
        self.answer = nn.Linear(token_width, 2 * width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Masked tokens have no influence at all, not even through NaN or infinity."""
        key, value, mask = self._heard(x, tokens, mask)
        return self.out(attend(self.ask(x), key, value, self.heads, mask))

    def weights(self, x: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """How much each place hears each token: (b, n, m), mean over the heads, worked out anew.

        What is missing to 1 goes to the learned token.
        """
        key, _, mask = self._heard(x, tokens, mask)
        query, key = (one.unflatten(2, (self.heads, -1)) for one in (self.ask(x), key))
        score = torch.einsum("bnhc,bmhc->bhnm", query, key) / query.shape[-1] ** 0.5
        return score.masked_fill(~mask[:, None, None], -torch.inf).softmax(-1).mean(1)[..., 1:]

    def _heard(self, x: Tensor, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, values and mask, the learned token before the others."""
        tokens = tokens.to(x.dtype).masked_fill(~mask[..., None], 0)
        tokens = torch.cat((self.nothing.expand(len(tokens), 1, -1), tokens), 1)
        mask = torch.cat((mask.new_ones(len(mask), 1), mask), 1)
        key, value = self.answer(self.norm(tokens)).chunk(2, 2)
        return key, value, mask
