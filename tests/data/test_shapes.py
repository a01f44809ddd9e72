import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.data.shapes import (
    COLOURS,
    PHRASES,
    PLACES,
    SHAPES,
    Scene,
    caption,
    combinations,
    drawn,
    held_out,
    never_met,
    parsed,
    shapes,
)
from unmist.data.shapes_judge import components, holds, judge, things


@pytest.fixture(scope="module")
def rows():
    return shapes(363)


def test_every_caption_holds_in_its_picture(rows):
    """Fails if less than 99.5 % of real pictures pass: the ceiling of every figure."""
    right = [holds(*pair) for pair in zip(rows.values[:250], rows.captions[:250], strict=True)]
    assert np.mean(right) >= 0.995


def test_held_out_combinations_can_be_judged_too():
    """Fails if the judge knows only what the set holds."""
    scenes = [scene for scene in combinations() if held_out(scene)]
    right = [holds(drawn(scene, 1, i), caption(scene)) for i, scene in enumerate(scenes)]
    assert np.mean(right) >= 0.995


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("colour", tuple(COLOURS)),
        ("shape", SHAPES),
        ("place", tuple(PLACES)),
        ("number", (1, 2, 3)),
    ],
)
def test_a_wrong_word_is_told_from_the_right_ones(rows, word, others):
    """Fails if one changed word passes, or drags a word that still holds with it."""
    for i, text in enumerate(rows.captions[:40]):
        scene = parsed(text)
        said = getattr(scene, word)
        wrong = others[(others.index(said) + 1 + i % (len(others) - 1)) % len(others)]
        assert wrong != said
        told = judge(rows.values[i], caption(Scene(**{**vars(scene), word: wrong})))
        assert list(told.values()).count(False) == 1, (text, wrong, told)


def test_nothing_and_noise_hold_nothing():
    """Fails if a blank picture, or noise, passes as shapes."""
    text = caption(Scene(1, "red", "circle", "left"))
    blank = np.full((3, 32, 32), 255, np.uint8)
    assert not any(judge(blank, text).values())
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32), dtype=np.uint8)
    assert not holds(noise, text)


def test_a_speck_is_no_thing_and_a_pale_one_has_no_colour():
    """Fails if dust counts towards the number, or a pink stain passes for red."""
    picture = drawn(Scene(1, "red", "circle", "middle"), 0, 0)
    picture[:, 2, 2] = 0
    assert len(things(picture)) == 1
    pale = (255 - (255 - picture.astype(int)) * 0.4).astype(np.uint8)
    assert things(pale)[0].colour == ""


def test_captions_and_scenes_are_one():
    """Fails if a phrasing loses a word, or a caption is read as another scene."""
    for scene in combinations():
        for phrase in range(len(PHRASES)):
            for article in (False, True):
                assert parsed(caption(scene, phrase, article)) == scene
    for text in ("red circle on the left", "two pink rings at the top", "a red blue ring left"):
        with pytest.raises(BadInput):
            parsed(text)


def test_what_is_held_out_is_not_there_and_its_words_are(rows):
    """Fails if a held-out combination is drawn, or a word or pair of words is never seen."""
    kept = {parsed(text) for text in rows.captions}
    assert kept == {scene for scene in combinations() if not held_out(scene)}
    out = [scene for scene in combinations() if held_out(scene)]
    assert (len(out), sum(map(never_met, out))) == (87, 45)
    assert held_out(caption(out[0], 1))
    for scene in out:
        assert any((k.colour, k.place, k.number) == _but(scene) for k in kept)
        met = any((k.colour, k.shape) == (scene.colour, scene.shape) for k in kept)
        assert met != never_met(scene)


def _but(scene):
    return scene.colour, scene.place, scene.number


def test_the_set_is_the_same_for_the_same_seed(rows):
    """Fails if the clock or another draw reaches the pictures, or the seed does not."""
    again = shapes(40)
    np.testing.assert_array_equal(again.values, shapes(40).values)
    assert not np.array_equal(again.values, shapes(40, seed=1).values)
    assert rows.values.shape == (363, 3, 32, 32)
    assert len({row.tobytes() for row in rows.values}) == 363


def test_shapes_open_as_a_built_in_set():
    """Fails if the set cannot be opened by name, or twins leave nothing held out."""
    data = open_data("shapes")
    assert data.shape == (3, 32, 32)
    assert len(data) == len(data.captions or ()) == 4356
    assert 300 < len(data.held) < 560


def test_components_are_connected_by_sides():
    """Fails if diagonal neighbours join, a ring falls apart, or everything is one mask's zero."""
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1]], bool)
    assert components(mask).max() == 3
    assert components(np.ones((3, 3), bool)).tolist() == [[1] * 3] * 3
    ring = np.hypot(*np.mgrid[-8:9, -8:9]) // 2 == 3
    assert components(ring).max() == 1
