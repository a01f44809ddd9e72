"""The noise mark: each picture's law as before, none like another, found again on the way back."""

import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.default import default_solver
from unmist.core.exact import Gaussian
from unmist.core.plan import descend
from unmist.core.schedules import Flow
from unmist.core.solver import Ancestral
from unmist.core.spacing import Logistic
from unmist.core.walk import final, started, walk
from unmist.guard.noise_mark import detect_noise, marked_noise, noise_of, secret_signs

KEY = b"a key for tests"
LIKE = torch.zeros(8, 1, 16, 16)


def test_magnitudes_are_kept_and_signs_are_the_keys():
    """Fails if more than the signs of move 0 change, or they are not those of key and nonce."""
    noise = Noise(3, "sample", tuple(range(8)))
    marked = marked_noise(noise, KEY)
    plain, drawn = noise(LIKE, 0), marked(LIKE, 0)
    assert torch.equal(plain.abs(), drawn.abs())
    signs = secret_signs(KEY, tuple((3, i) for i in range(8)), 256).reshape(LIKE.shape)
    assert torch.equal(drawn.sign(), signs)
    assert torch.equal(noise(LIKE, 5), marked(LIKE, 5))


def test_a_row_is_the_same_in_any_company():
    """Fails if a marked row depends on the batch or its order."""
    marked = marked_noise(Noise(3, "sample", tuple(range(8))), KEY)
    some = marked.select((6, 2))
    assert torch.equal(some(LIKE[:2], 0), marked(LIKE, 0)[[6, 2]])


def test_pictures_and_keys_share_nothing():
    """Fails if signs correlate between samples, runs or keys, or lean to one side."""
    names = (*((0, i) for i in range(40)), *((1, i) for i in range(40)))
    signs = torch.cat([secret_signs(key, names, 1024) for key in (KEY, KEY + b"2")])
    shares = signs @ signs.T / 1024
    apart = shares[~torch.eye(len(signs), dtype=torch.bool)]
    assert float(apart.abs().max()) < 6 / 32
    assert float(apart.square().mean().sqrt()) == pytest.approx(1 / 32, rel=0.05)
    assert abs(float(signs.mean())) < 4 / np.sqrt(signs.numel())


def test_the_start_is_still_gaussian():
    """Fails if the mean, variance, kurtosis or neighbours of marked draws are not N(0, 1)'s."""
    marked = marked_noise(Noise(1, "sample", tuple(range(200))), KEY)
    x = marked(torch.zeros(200, 1, 16, 16), 0).double()
    count = x.numel()
    assert abs(float(x.mean())) < 4 / np.sqrt(count)
    assert abs(float(x.square().mean()) - 1) < 4 * np.sqrt(2 / count)
    assert abs(float((x**4).mean()) - 3) < 4 * np.sqrt(96 / count)
    assert abs(float((x[..., 1:] * x[..., :-1]).mean())) < 4 / np.sqrt(count)


@pytest.fixture(scope="module")
def pictures():
    """Samples of a Gaussian law whose neighbours are alike, marked, with the way there."""
    place = torch.arange(256.0).reshape(16, 16)
    down, across = (place // 16).flatten(), (place % 16).flatten()
    far = (down[:, None] - down).abs() + (across[:, None] - across).abs()
    denoise = Gaussian(torch.zeros(256), torch.exp(-far / 2))
    levels = Logistic(1.2, 1.2)(Flow(), 12)
    noise = marked_noise(Noise(9, "sample", tuple(range(8))), KEY)
    plan = descend(levels)
    x = started(LIKE, plan, noise)
    made = final(walk(denoise, x, plan, default_solver(), noise)).x
    return denoise, levels, made


def test_the_way_back_finds_the_mark(pictures):
    """Fails if a marked sample is not found, with its nonce, among a thousand."""
    denoise, levels, made = pictures
    starts = noise_of(denoise, made, levels)
    for i, start in enumerate(starts):
        odds, nonce = detect_noise(start, KEY, ((9, k) for k in range(1000)))
        assert odds.log10_p < -40
        assert nonce == (9, i)
        assert odds.tried == 1000


def test_what_is_not_marked_is_not_found(pictures):
    """Fails if another key, nonces that were not used or plain noise look like a mark."""
    denoise, levels, made = pictures
    starts = noise_of(denoise, made, levels)
    plain = Noise(9, "sample", tuple(range(8)))(LIKE, 0)
    for start, key, run in ((starts[0], b"other", 9), (starts[0], KEY, 8), (plain[0], KEY, 9)):
        odds, _ = detect_noise(start, key, ((run, k) for k in range(1000)))
        assert odds.log10_p > -2


def test_unfit_ways_back_are_refused(pictures):
    """Fails if a stochastic solver, an empty list, no key or a broken start is let through."""
    denoise, levels, made = pictures
    with pytest.raises(BadInput, match="no way back"):
        noise_of(denoise, made, levels, solver=Ancestral())
    with pytest.raises(BadInput, match="no nonces"):
        detect_noise(made[0], KEY, [])
    with pytest.raises(BadInput, match="empty"):
        marked_noise(Noise(0, "sample", (0,)), b"")
    with pytest.raises(BadInput, match="outside"):
        marked_noise(Noise(0, "sample", (0,)), KEY, -1)
    with pytest.raises(BadInput, match="left the numbers"):
        detect_noise(made[0] * float("nan"), KEY, [(0, 0)])
