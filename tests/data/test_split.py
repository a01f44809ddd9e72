import numpy as np
import pytest

from unmist.data.split import HELD, content_keys, split
from unmist.data.twins import groups, thumbnails


def _pictures(count, seed=0, side=24):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def _held_keys(values):
    keys = content_keys(values)
    return {keys[i] for i in split(keys, groups(keys, thumbnails(values)))[1]}


def test_the_same_pictures_are_held_in_any_order():
    """Fails if row numbers, names or the order of files reach the choice."""
    values = _pictures(400)
    shuffled = values[np.random.default_rng(1).permutation(400)]
    assert _held_keys(values) == _held_keys(shuffled)


def test_adding_pictures_moves_none_of_the_old():
    """Fails if the choice is by rank: then a warm start would train on what was held."""
    values = _pictures(600)
    old, new = _held_keys(values[:300]), _held_keys(values)
    assert old == {key for key in new if key in set(content_keys(values[:300]))}


def test_about_a_tenth_is_held():
    """Fails if the hash is not uniform: 2,000 draws at 0.1 lie within four deviations of 200."""
    keys = content_keys(_pictures(2000, side=4))
    train, held = split(keys, np.arange(2000))
    assert abs(len(held) - 2000 * HELD) < 4 * np.sqrt(2000 * HELD * (1 - HELD))
    assert sorted([*train, *held]) == list(range(2000))


def test_twins_are_on_one_side():
    """Fails if a retouched copy of a training picture can be held out (or the reverse)."""
    values = _pictures(500)
    touched = np.clip(values.astype(int) + 2, 0, 255).astype(np.uint8)
    both = np.concatenate([values, touched, values[:50]])
    keys = content_keys(both)
    group = groups(keys, thumbnails(both))
    np.testing.assert_array_equal(group[500:1000], np.arange(500))
    np.testing.assert_array_equal(group[1000:], np.arange(50))
    held = set(split(keys, group)[1].tolist())
    assert all((i in held) == (i + 500 in held) for i in range(500))


@pytest.mark.parametrize("count", [2, 3, 7])
def test_small_sets_still_hold_something_and_train_on_something(count):
    """Fails if a handful of pictures leaves no measure, or nothing to learn from."""
    for seed in range(20):
        keys = content_keys(_pictures(count, seed))
        train, held = split(keys, np.arange(count))
        assert len(train) >= 1
        assert 1 <= len(held) < count


def test_a_set_whose_every_hash_is_low_still_trains():
    """Fails if all of a tiny set can be held: two keys that both draw below a tenth."""
    low = [key for key in map(str, range(200)) if len(split((key, "x"), np.arange(2))[1]) == 1]
    both = [k for k in low if split((k, "x"), np.arange(2))[1][0] == 0][:6]
    for one in both:
        for two in both:
            if one != two:
                assert [len(part) for part in split((one, two), np.arange(2))] == [1, 1]


def test_one_picture_trains_and_none_is_held():
    """Fails if the only picture is held out."""
    assert [part.tolist() for part in split(("a",), np.array([0]))] == [[0], []]


def test_a_group_too_large_to_hold_always_trains():
    """Fails if a thousand near-identical pictures can become the whole measure."""
    for seed in range(30):
        keys = content_keys(_pictures(40, seed, 4))
        group = np.where(np.arange(40) < 20, 0, np.arange(40))
        assert not set(split(keys, group)[1]) & set(range(20))


def test_groups_equal_the_plain_definition():
    """Fails if sorting, windows or tiles lose a pair: against all pairs, with plain loops."""
    rng = np.random.default_rng(3)
    centres = rng.integers(0, 200, (60, 32))
    thumbs = (centres[rng.integers(0, 60, 700)] + rng.integers(0, 14, (700, 32))).astype(np.uint8)
    keys = tuple(map(str, range(700)))
    ints = thumbs.astype(int)
    limit = 0.1**2 * ints.var(0).mean() * 32
    near = ((ints[:, None] - ints[None]) ** 2).sum(-1) <= limit
    root = np.arange(700)
    for _ in range(700):
        smallest = np.where(near, root[None], 700).min(1)
        if np.array_equal(smallest, root):
            break
        root = smallest
    np.testing.assert_array_equal(groups(keys, thumbs), root)
    assert 60 <= len(np.unique(root)) < 700


def test_five_thousand_copies_are_one_group():
    """Fails if a dense set needs all its pairs in memory."""
    thumbs = np.full((5000, 256), 77, np.uint8)
    thumbs[::2, 0] = 78
    thumbs[0] = np.random.default_rng(0).integers(0, 256, 256)
    group = groups(tuple(map(str, range(5000))), thumbs)
    assert group[0] == 0
    assert set(group[1:]) == {1}


def test_thumbnails_are_area_means():
    """Fails if pixels are picked instead of averaged, or odd sizes lose their last columns."""
    values = _pictures(2, side=37)
    edges = [k * 37 // 16 for k in range(17)]
    for c, y, x in [(0, 0, 0), (1, 7, 15), (2, 15, 3)]:
        cell = values[1, c, edges[y] : edges[y + 1], edges[x] : edges[x + 1]]
        assert thumbnails(values).reshape(2, 3, 16, 16)[1, c, y, x] == int(cell.mean() + 0.5)


def test_keys_name_the_shape_too():
    """Fails if a 2x8 and a 4x4 picture of the same bytes are taken for one."""
    flat = np.arange(16, dtype=np.uint8)
    assert content_keys(flat.reshape(1, 1, 2, 8)) != content_keys(flat.reshape(1, 1, 4, 4))
