"""Blocks of the U-Net against their formulas, and the sizes between levels."""

import pytest
import torch
from torch.nn.functional import group_norm, silu

from unmist.nn.blocks import (
    AttentionBlock,
    Downsample,
    ResidualBlock,
    Upsample,
    groups_of,
    heads_of,
)


def draw(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(4))


def test_a_residual_block_is_its_formula():
    # fails if scale and shift are swapped, the one is forgotten, or the short cut is not added
    block, x, change = ResidualBlock(2, (32, 32), 0.0), draw(3, 32, 5, 4), draw(3, 64)
    torch.nn.init.normal_(block.second.weight)
    hidden = block.first(silu(group_norm(x, 2)))
    hidden = group_norm(hidden, 2) * (1 + change[:, :32, None, None]) + change[:, 32:, None, None]
    torch.testing.assert_close(block(x, change), x + block.second(silu(hidden)))


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_new_blocks_are_nothing(axes):
    # fails if the branch is not closed when new
    x = draw(2, 16, *[4] * axes)
    assert torch.equal(ResidualBlock(axes, (16, 16), 0.0)(x, draw(2, 32)), x)
    assert torch.equal(AttentionBlock(16, 2, 0)(x, None), x)
    assert torch.equal(AttentionBlock(16, 2, 0, factorised=axes > 1)(x, None), x)


def test_space_and_time_are_asked_apart():
    """Fails if a place hears another place of another frame, misses its own frame or
    its own place in another, or the two parts are not those of plain attention."""
    block = AttentionBlock(8, 2, 0, factorised=True)
    block.norm = torch.nn.Identity()
    torch.nn.init.normal_(block.own.out.weight)
    torch.nn.init.normal_(block.along.out.weight)
    x = draw(2, 8, 3, 4, 5)
    plain = block(x, None)
    for frame in range(3):
        by_hand = block.own(x[:, :, frame].flatten(2).transpose(1, 2))
        place = block.along(x[:, :, :, 1, 2].transpose(1, 2))[:, frame]
        found = (plain - x)[:, :, frame, 1, 2]
        torch.testing.assert_close(found, by_hand[:, 1 * 5 + 2] + place)
    other = x.clone()
    other[:, :, 2, 1, 2] += 1
    changed = ((block(other, None) - plain).abs().amax((0, 1)) > 1e-6).nonzero().tolist()
    whole = [[2, row, column] for row in range(4) for column in range(5)]
    assert changed == [[0, 1, 2], [1, 1, 2], *whole]


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_levels_meet_again_at_any_size(size):
    # fails if halving rounds down or doubling is not cropped to the size it came from
    small = Downsample(2, (3, 4))(draw(1, 3, size, 6))
    assert small.shape == (1, 4, (size + 1) // 2, 3)
    up = Upsample(2, (4, 3))
    large = up(small, (size, 6))
    nearest = up.layer(small).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(large, nearest[:, :, :size])


def test_groups_and_heads_divide_any_width():
    # fails on widths that are no power of two
    for width in range(1, 400):
        assert width % groups_of(width) == 0
        assert width % heads_of(width, 64) == 0
    assert [groups_of(w) for w in (8, 64, 192, 256)] == [1, 4, 12, 16]
    assert [heads_of(w, 64) for w in (8, 64, 192, 250)] == [1, 1, 3, 2]
