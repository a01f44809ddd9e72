"""Folding is a rearrangement: every pixel has one place, and comes back to its own."""

import pytest
import torch

from unmist.nn.fold import crop, fold, margins, unfold


def picture(*shape):
    return torch.arange(1, 1 + torch.Size(shape).numel()).float().reshape(shape)


def test_fold_puts_a_block_of_pixels_where_torch_puts_it():
    # fails if blocks and places are mixed up; torch's own operation is the independent one
    x = picture(2, 3, 6, 4)
    assert torch.equal(fold(x, 2), torch.nn.functional.pixel_unshuffle(x, 2))
    assert torch.equal(unfold(fold(x, 2), 2), x)


def test_fold_in_three_axes_by_hand():
    # fails if the axes change order: cell (0, 0, 1) of channel 0 is the pixel at (0, 0, 1)
    x = picture(1, 1, 2, 2, 4)
    folded = fold(x, 2)
    assert folded.shape == (1, 8, 1, 1, 2)
    assert folded[0, :, 0, 0, 0].tolist() == [1, 2, 5, 6, 9, 10, 13, 14]
    assert torch.equal(unfold(folded, 2), x)


@pytest.mark.parametrize("sizes", [(7,), (1,), (5, 8), (30, 17), (3, 1, 6)])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_any_size_comes_back(sizes, size):
    # fails if padding and cropping do not use the same sides
    x = picture(2, 3, *sizes)
    assert torch.equal(crop(unfold(fold(x, size), size), sizes), x)
    assert fold(x, size).sum() == x.sum()


def test_margins_are_shared_and_smallest():
    # fails if more is padded than needed, or all of it on one side
    assert margins((28, 30, 17, 32), 8) == ((2, 2), (1, 1), (3, 4), (0, 0))
