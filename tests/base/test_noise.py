"""Randomness by counter: a draw is a function of (seed, purpose, sample, move) and nothing else."""

import random
from hashlib import blake2b

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.base.noise import Noise, keyed


def test_against_numpy_itself():
    """Fails if the stream is not Philox with the stated key and counter: seeds must keep."""
    digest = int.from_bytes(blake2b(b"start", digest_size=8).digest(), "little")
    raw = np.random.Philox(
        key=np.array([7, digest], np.uint64), counter=np.array([0, 0, 3, 11], np.uint64)
    )
    wanted = np.random.Generator(raw).standard_normal(12, dtype=np.float32).reshape(3, 2, 2)
    found = Noise(7, "start", (11,))(torch.empty(1, 3, 2, 2), 3)
    assert np.array_equal(found[0].numpy(), wanted)


def test_rows_do_not_depend_on_company():
    """Fails if a row changes with its batch, its order, its neighbours or an earlier draw."""
    ids = list(range(40))
    whole = Noise(1, "p", tuple(ids))(torch.empty(40, 2, 5), 4)
    random.Random(0).shuffle(ids)
    turned = Noise(1, "p", tuple(ids))(torch.empty(40, 2, 5), 4)
    assert turned.equal(whole[ids])
    assert Noise(1, "p", (17,))(torch.empty(1, 2, 5), 4)[0].equal(whole[17])
    assert Noise(1, "p", ()).select([5, 17])(torch.empty(2, 2, 5), 4).equal(whole[[5, 17]])


def test_streams_differ():
    """Fails if two of seed, purpose, sample or move share numbers, large seeds included."""
    x = torch.empty(1, 64)
    draws = [
        Noise(seed, purpose, (sample,))(x, move)
        for seed in (0, 1, 2**32, 2**64 - 1)
        for purpose in ("a", "b")
        for sample in (0, 1, 2**40)
        for move in (0, 1)
    ]
    stack = torch.cat(draws)
    shared = (stack @ stack.T / 64).fill_diagonal_(0).abs().max()
    assert shared < 0.6  # chance: 5 standard deviations are 0.63
    assert len({tuple(row.tolist()) for row in stack}) == len(draws)


def test_it_is_standard_normal():
    """Fails if mean, variance, tails or the link between rows are off (5 standard errors)."""
    x = Noise(3, "p", tuple(range(200)))(torch.empty(200, 1000), 0).double()
    n = x.numel()
    assert x.mean().abs() < 5 / n**0.5
    assert (x.var() - 1).abs() < 5 * (2 / n) ** 0.5
    assert ((x.abs() > 2).double().mean() - 0.0455003).abs() < 5 * (0.0455 * 0.9545 / n) ** 0.5
    between = (x[:100] * x[100:]).mean().abs()
    assert between < 5 / (n / 2) ** 0.5


def test_dtype_and_device_of_x():
    """Fails if another dtype draws other numbers than float32 cast to it."""
    noise = Noise(0, "p", (0, 1))
    assert noise(torch.empty(2, 3).double(), 0).equal(noise(torch.empty(2, 3), 0).double())


@pytest.mark.parametrize("bad", [-1, 2**64])
def test_out_of_range(bad):
    """Fails if a seed or counter wraps round to another's stream."""
    with pytest.raises(BadInput, match="outside"):
        keyed(bad, "p")
    with pytest.raises(BadInput, match="outside"):
        keyed(0, "p", 0, bad)
