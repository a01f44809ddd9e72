"""The watermark: it stays, it is found by its key alone, and its odds are what they say."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.guard.mark_handling import jpeg
from unmist.guard.mark_lattice import (
    blocks_of,
    cosines_of,
    lattice_move,
    luminance,
    secret_phases,
    wave_forms,
)
from unmist.guard.mark_odds import Odds, cosine_tail, sign_tail
from unmist.guard.watermark import budget, detect, embed, embed_many

KEY = b"a key for tests"


def ratio(one, other):
    return 10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2))


def scene(side, channels=3, seed=0):
    """A picture with flat parts, edges, waves and clipped whites."""
    draw = np.random.default_rng(seed)
    down, across = np.mgrid[:side, :side] / side
    picture = np.full((channels, side, side), 255.0)
    for channel in range(channels):
        picture[channel] = np.where(
            (down - 0.4) ** 2 + (across - 0.5) ** 2 < 0.1, draw.uniform(0, 255), picture[channel]
        )
        picture[channel] -= 60 * (across > 0.7) * (1 + np.sin(20 * down))
    return picture.clip(0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def emoji():
    rows = np.asarray(open_data("emoji").values)[::400]
    return rows, embed_many(rows, KEY)


def through(picture, change):
    image = Image.fromarray(picture.transpose(1, 2, 0))
    return np.ascontiguousarray(np.asarray(change(image)).transpose(2, 0, 1))


def as_jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=70)
    return Image.open(file)


def test_marked_pictures_are_found_and_near(emoji):
    """Fails if a marked 32 pixel picture is not certain, or differs by more than the budget."""
    rows, marked = emoji
    for before, after in zip(rows, marked, strict=True):
        assert detect(after, KEY, search=False).log10_p < -20
        assert budget(32, 32) - 0.01 < ratio(before, after) < budget(32, 32) + 0.5


def test_jpeg_does_not_take_it_out(emoji):
    """Fails if JPEG at 70, made by another program, hides the mark of a 32 pixel picture."""
    for picture in emoji[1]:
        assert detect(through(picture, as_jpeg), KEY, search=False).holds(1e-6)


def test_half_size_and_back_does_not_take_it_out():
    """Fails if a 64 pixel picture that was shrunk to half and grown again is not recognised."""
    marked = embed(scene(64), KEY)
    small = through(marked, lambda image: image.resize((32, 32)).resize((64, 64)))
    assert detect(small, KEY, search=False).holds(1e-6)


def test_it_is_found_where_it_was_cut_and_scaled():
    """Fails if the search misses a cut by odd numbers, or such a cut that was scaled back."""
    marked = embed(scene(64), KEY)
    assert not detect(marked[:, 5:60, 3:62], KEY, search=False).holds(1e-6)
    found = detect(marked[:, 5:60, 3:62], KEY)
    assert found.holds(1e-6)
    assert "cut at (5, 3)" in found.how
    back = through(marked[:, 4:60, 2:58], lambda image: image.resize((64, 64)))
    assert detect(back, KEY).holds(1e-6)


def test_large_pictures_and_odd_sides():
    """Fails if the key's repeats, sides that no block divides, grey or opacity break it."""
    for picture in (scene(264, 1)[:, :40], scene(29, 3), scene(64, 4), scene(40, 2), scene(16, 1)):
        marked = embed(picture, KEY)
        assert detect(marked, KEY, search=False).log10_p < -8
        assert not np.array_equal(marked, picture)
    assert np.array_equal(embed(scene(64, 4), KEY)[3], scene(64, 4)[3])
    flat = np.full((3, 24, 270), 255, np.uint8)
    assert detect(embed(flat, KEY), KEY, search=False).log10_p < -8


def test_each_picture_is_marked_by_itself(emoji):
    """Fails if a picture's mark depends on its company, or if marking changes what it was given."""
    rows, marked = emoji
    before = rows[2].copy()
    assert np.array_equal(embed(rows[2], KEY), marked[2])
    assert np.array_equal(rows[2], before)


def test_the_odds_are_those_of_unmarked_pictures():
    """Fails if, over keys, unmarked pictures look marked more often than the odds say."""
    picture, draws = scene(24), 90
    odds = np.array([detect(picture, bytes([i, 1]), search=False).log10_p for i in range(draws)])
    for power in (-0.3, -1):
        expected = draws * 10**power
        assert (odds <= power).sum() <= expected + 3 * np.sqrt(expected)
    assert odds.min() > -4


def test_a_search_claims_no_more_than_it_may():
    """Fails if looking in a million places finds a mark that is not there, or another key's."""
    other = embed(scene(32, seed=3), b"another key")
    for i in range(2):
        assert detect(other, bytes([i, 2])).log10_p > -3


def test_tails_bound_and_are_near_the_law():
    """Fails if a tail is below the true chance (drawn), or 20 times above it."""
    draw = np.random.default_rng(1)
    sizes = draw.uniform(0.5, 2, 60)
    angles = np.cos(draw.uniform(0, 2 * np.pi, (20_000, 60))) @ sizes
    signs = draw.choice([-1.0, 1.0], (20_000, 60)) @ sizes
    for sums, tail in ((angles, cosine_tail), (signs, sign_tail)):
        for share in (0.1, 0.01, 0.001):
            bound = 10 ** tail(float(np.quantile(sums, 1 - share)), torch.from_numpy(sizes))
            assert share * 0.7 < bound < share * 20


def test_tails_at_their_ends():
    """Fails if no agreement is odds, or full agreement of n signs is not 2^-n."""
    ones = torch.ones(40)
    assert cosine_tail(-1.0, ones) == cosine_tail(0.0, ones) == sign_tail(0.0, ones) == 0
    assert sign_tail(40.0, ones) == pytest.approx(-40 * np.log10(2), rel=1e-6)


def test_the_lattice_move_arrives():
    """Fails if the move does not put every coefficient of whole blocks where the key wants it."""
    light = luminance(torch.from_numpy(scene(64)[None]).double().float())
    secret = secret_phases(KEY)
    moved = light + lattice_move(light, secret)
    assert float(cosines_of(moved, secret).min()) > 0.999
    products = torch.einsum("iaxy,jbxy->ij", wave_forms(), wave_forms())
    assert torch.allclose(products, torch.eye(10), atol=1e-6)
    assert blocks_of(torch.zeros(2, 28, 35)).shape == (2, 10, 4, 4)


def test_the_inner_jpeg_is_jpeg():
    """Fails if the JPEG that marking reckons with is far from a real one on a grey picture."""
    picture = scene(64, 1)
    file = io.BytesIO()
    Image.fromarray(picture[0]).save(file, "JPEG", quality=60)
    ours = jpeg(torch.from_numpy(picture).float(), 60)[0].numpy().clip(0, 255)
    gap = np.abs(np.asarray(Image.open(file)).astype(float) - ours)
    assert np.quantile(gap, 0.95) < 1  # whole levels; coefficients half way go either way
    assert gap.max() < 6


def test_keys_are_streams_of_their_own():
    """Fails if the phases are not even on the circle, or keys that differ little share them."""
    one, other = secret_phases(b"1").double(), secret_phases(b"2").double()
    count = one.numel()
    for turned in (one, 2 * one, one - other):
        assert abs(float(torch.cos(turned).sum())) < 4 * np.sqrt(count / 2)
        assert abs(float(torch.sin(turned).sum())) < 4 * np.sqrt(count / 2)


def test_odds_in_words():
    """Fails if no finding reads like one, or a rate is misread."""
    assert "no sign" in str(Odds(0.0, 0.1, 10, 25, "in its place"))
    assert "1 in 10^7.3" in str(Odds(-7.3, 0.6, 160, 25, "in its place"))
    assert Odds(-6.0, 0.6, 160, 25, "").holds(1e-6)
    assert not Odds(-5.9, 0.6, 160, 25, "").holds(1e-6)


@pytest.mark.parametrize(
    ("pixels", "key", "psnr"),
    [
        (np.zeros((3, 12, 64), np.uint8), KEY, None),
        (np.zeros((3, 64, 64), np.float32), KEY, None),
        (np.zeros((1, 16, 16, 16), np.uint8), KEY, None),
        (np.zeros((64, 64, 3), np.uint8), KEY, None),
        (np.zeros((3, 64, 64), np.uint8), b"", None),
        (np.zeros((3, 64, 64), np.uint8), KEY, 90.0),
        (np.zeros((3, 64, 64), np.uint8), KEY, float("nan")),
    ],
)
def test_what_cannot_be_marked_is_refused(pixels, key, psnr):
    """Fails if a wrong size, type, layout, key or strength is not refused in one line."""
    with pytest.raises(BadInput) as refusal:
        embed(pixels, key, psnr=psnr)
    assert "\n" not in str(refusal.value)
