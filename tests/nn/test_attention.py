"""Attention against its formula, written out a second time."""

import torch

from unmist.nn.attention import (
    CrossAttention,
    SelfAttention,
    attend,
    forward_mode,
    in_forward_mode,
)


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def formula(query, key, value, heads, mask):
    """One row, head and query at a time."""
    out, width = torch.zeros_like(query), query.shape[2] // heads
    for row, places in enumerate(query):
        for head in range(heads):
            part = slice(head * width, (head + 1) * width)
            for n, place in enumerate(places):
                score = key[row, :, part] @ place[part] / width**0.5
                share = score.masked_fill(~mask[row], -torch.inf).softmax(0)
                out[row, n, part] = share @ value[row, :, part]
    return out


def test_attend_is_the_formula_in_both_modes():
    # fails if heads are split wrongly, the scale is not that of a head, or the mask is turned
    query, key, value = draw(2, 5, 12), draw(2, 7, 12) + 0.1, draw(2, 7, 12)
    mask = torch.tensor([[1, 1, 0, 1, 0, 1, 1], [0, 0, 1, 0, 0, 0, 0]]).bool()
    truth = formula(query, key, value, 3, mask)
    torch.testing.assert_close(attend(query, key, value, 3, mask), truth)
    with forward_mode():
        torch.testing.assert_close(attend(query, key, value, 3, mask), truth)


def test_forward_mode_ends_where_it_ends():
    # fails if the switch stays on, which would slow everything after it
    assert not in_forward_mode()
    with forward_mode():
        assert in_forward_mode()
    assert not in_forward_mode()


def test_self_attention_does_not_care_for_order():
    # fails if places are told apart by anything but what they hold
    layer, x = SelfAttention(8, 2), draw(1, 6, 8)
    turned = torch.tensor([3, 0, 5, 1, 2, 4])
    torch.testing.assert_close(layer(x[:, turned]), layer(x)[:, turned])


def test_cross_attention_with_no_token_sees_its_own():
    # fails if the learned token is not there: then softmax of nothing, or an answer from padding
    layer = CrossAttention(8, 6, 2)
    torch.nn.init.eye_(layer.out.weight)
    none = torch.zeros(2, 3, dtype=torch.bool)
    out = layer(draw(2, 4, 8), draw(2, 3, 6), none)
    own = layer.answer(layer.norm(layer.nothing)).chunk(2)[1]
    torch.testing.assert_close(out, own.expand(2, 4, 8))
