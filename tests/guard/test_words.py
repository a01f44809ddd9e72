"""Words that steered a picture, whatever their case, accents and width."""

import numpy as np
import pytest

from unmist.guard.detector import Seen
from unmist.guard.policy import Words
from unmist.guard.words import WordRules, plain_words, steering

PIXELS = np.zeros((1, 2, 2), np.uint8)


def score(settings, **rule):
    ((value, reason),) = WordRules(Words(**rule))([Seen(PIXELS, settings)])
    return value, reason


@pytest.mark.parametrize(
    "text",
    [
        "blood",
        "BLOOD!",
        "a bowl of blood",
        "Blóod",
        "ｂｌｏｏｄ",
        "blo\u200bod",
        "x_blood_y",
        "blood.",
    ],
)
def test_a_word_is_found_however_it_is_written(text):
    """Fails if case, accents, wide letters, invisible ones or marks beside it hide a word."""
    assert score({"wish": {"text": [text]}}, words=("blood",))[0] == 1.0


@pytest.mark.parametrize("text", ["bloodhound", "oxblood", "", "bl ood", "red"])
def test_other_words_are_not(text):
    """Fails if a word is found inside another one."""
    assert score({"prompt": text}, words=("blood",))[0] == 0.0


def test_words_of_two_and_patterns():
    """Fails if phrases or regular expressions are not looked for, or told by their words."""
    assert score({"prompt": "The  White-House"}, words=("white house",)) == (
        1.0,
        "word 1 of the policy",
    )
    rules = {"words": ("a",), "patterns": ("^b+$", r"\bc\d")}
    assert score({"prompt": "BBB"}, **rules) == (1.0, "pattern 1 of the policy")
    assert score({"prompt": "see C3"}, **rules) == (1.0, "pattern 2 of the policy")
    assert score({"prompt": "cat"}, **rules) == (0.0, "no rule holds")


def test_only_words_that_steered_count():
    """Fails if the name of the model counts as a wish, or a wish in the depths is not found."""
    settings = {"model": "blood", "seed": 3, "inner": {"captions": {"1": ["x", {"y": "blood"}]}}}
    assert list(steering(settings)) == ["1", "x", "y", "blood"]
    assert score({"model": "blood"}, words=("blood",)) == (0.0, "no words steered it")
    assert score(settings, words=("blood",))[0] == 1.0
    assert score({"parameters": "blood, Steps: 20"}, words=("blood",))[0] == 1.0


def test_plain_words():
    """Fails if the one form of a text changes, and with it what policies mean."""
    assert plain_words("  Straße,  İl\u00adk—2½ ") == "strasse ilk 21 2"
