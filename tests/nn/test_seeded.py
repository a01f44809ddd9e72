"""Weights from a seed beside the global generator."""

import torch

from unmist.nn.seeded import seeded


def test_the_global_stream_goes_on_as_if_nothing_was_drawn():
    # fails if the state is not put back, also when building fails
    torch.manual_seed(3)
    truth = torch.randn(4)
    torch.manual_seed(3)
    try:
        with seeded(9):
            first = torch.randn(3)
            raise ValueError
    except ValueError:
        pass
    assert torch.equal(torch.randn(4), truth)
    with seeded(9):
        assert torch.equal(torch.randn(3), first)
