"""Noise: a row is a function of seed, purpose, sample and move, on every machine and for ever."""

import hashlib

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.base.noise import Noise, keyed

SHAPE = (3, 5, 4)
GOLDEN = "454a1d43c1ea92d864caead2e5ac8dd18d7228aefc0f1f32bae70c6a58c32381"


def draw(ids, seed=1, purpose="start", move=0):
    return Noise(seed, purpose, tuple(ids))(torch.zeros(len(ids), *SHAPE), move)


def test_golden():
    # fails if the stream changes: every picture ever made could no longer be made again
    rows = draw((0, 1, 2**40), seed=2**63 + 5, move=7).numpy()
    assert hashlib.sha256(rows.tobytes()).hexdigest() == GOLDEN


def test_a_row_does_not_know_its_batch():
    # fails if a row depends on its place, its company or the number of rows
    together = draw((4, 9, 2, 7))
    assert torch.equal(draw((2, 7, 4, 9)), together[[2, 3, 0, 1]])
    for place, sample in enumerate((4, 9, 2, 7)):
        assert torch.equal(draw((sample,))[0], together[place])
    alone = Noise(1, "start", (4, 9)).select([2])(torch.zeros(1, *SHAPE), 0)
    assert torch.equal(alone[0], together[2])


def test_every_key_counts():
    # fails if two of seed, purpose, sample, move share a stream; torch reads 32 bits of a seed only
    rows = [
        draw((0,)),
        draw((0,), seed=1 + 2**32),
        draw((0,), seed=1 + 2**63),
        draw((0,), purpose="step"),
        draw((1,)),
        draw((2**32,)),
        draw((0,), move=1),
        draw((1,), move=1),
        draw((0,), move=2**32),
    ]
    flat = torch.stack([row.flatten() for row in rows])
    assert len(flat.unique(dim=0)) == len(rows)
    far = torch.stack([draw((i,), move=m).flatten() for i in range(40) for m in range(5)])
    correlation = (far @ far.T / far.shape[1]).fill_diagonal_(0)
    assert float(correlation.abs().max()) < 6 / far.shape[1] ** 0.5


def test_it_is_standard_normal():
    # fails if the draws are not N(0, 1): KS over 12,000 of them
    from scipy.stats import kstest

    rows = draw(range(200)).numpy().ravel()
    assert kstest(rows, "norm").pvalue > 1e-3


def test_dtype_and_values_agree():
    # fails if float64 draws other numbers than float32
    x = torch.zeros(2, *SHAPE)
    noise = Noise(1, "start", (3, 4))
    assert noise(x, 0).dtype == torch.float32
    assert torch.equal(noise(x.double(), 0), noise(x, 0).double())


def test_the_global_generators_are_left_alone():
    # fails if drawing moves torch's or numpy's own generators, or listens to them
    torch.manual_seed(0)
    before, state = draw((0,)), torch.random.get_rng_state()
    draw((5,))
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(draw((0,)), before)


@pytest.mark.parametrize("bad", [-1, 2**64])
def test_keys_out_of_range(bad):
    # fails if a key is silently wrapped into another stream
    with pytest.raises(BadInput, match="outside"):
        keyed(bad, "x")
    with pytest.raises(BadInput, match="outside"):
        keyed(0, "x", bad)


def test_keyed_is_a_plain_generator():
    # fails if permutations drawn by key repeat across purposes or differ between calls
    one, two = (keyed(3, "order", 1).permutation(50) for _ in range(2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, keyed(3, "flips", 1).permutation(50))
