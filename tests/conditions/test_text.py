"""Words as numbers: what is known, what is new, what is too much."""

import pytest
import torch

from unmist.base.faults import BadInput
from unmist.conditions.family import Column
from unmist.conditions.text import Text
from unmist.conditions.words import numbered, split, vocabulary

CAPTIONS = ["Red circle, left", "blue circle on a red square", "", "two blue stars"]


@pytest.fixture(scope="module")
def text():
    return Text(width=8, layers=1).settled(Column(CAPTIONS))


def test_words_are_counted_and_kept_in_order(text):
    """Fails if case, signs or empty captions make words, or the order hangs on chance."""
    found = " ".join(split("A big-eyed ＲＥＤ  fox's 2 tails!"))
    assert found == "a big eyed red fox s 2 tails"
    assert text.words[:3] == ("blue", "circle", "red")
    assert vocabulary(reversed(CAPTIONS), 3) == text.words[:3]
    assert text.length == 6


def test_a_new_word_says_its_letters_and_is_doubted(text):
    """Fails if an unknown word is silent, the same as another, or taken without a word."""
    known = {word: number for number, word in enumerate(text.words, 1)}
    new, other = (numbered([word], known, 1)[0][0] for word in ("reds", "zebra"))
    assert new[0] == other[0] == 0
    assert not torch.equal(new, other)
    assert torch.equal(new[1:4], numbered(["red"], known, 1)[0][0, 1:4]) is False
    assert torch.equal(new[1:3], numbered(["red"], known, 1)[0][0, 1:3])
    assert text.doubt("red reds and zebra") == (
        "no caption held 'reds' (did you mean 'red'?); no caption held 'and'; "
        "no caption held 'zebra'"
    )
    assert text.doubt("a BLUE star's square").count(";") == 1


def test_what_cannot_be_read_whole_is_refused(text):
    """Fails if a prompt is cut in silence, or one without a word is followed."""
    assert text.wish("six words are read at most") == "six words are read at most"
    for wrong in ("seven words are one more than that", "!?", ""):
        with pytest.raises(BadInput, match="words; the model reads 1 … 6"):
            text.wish(wrong)
    with pytest.raises(BadInput, match="hold no words"):
        Text().settled(Column(["", "?"]))


def test_order_and_words_both_count(text):
    """Fails if the encoder is a bag of words, or a word far away is not read."""
    net, read = text.build((3, 8, 8), 0).eval(), text.reader()
    one, other, third = (
        read([words])[0]
        for words in ("red circle blue square", "blue circle red square", "red circle blue stars")
    )
    keep, x = torch.ones(1, dtype=torch.bool), torch.zeros(1, 3, 8, 8)
    with torch.no_grad():
        vectors = [net(value, keep, x).vector for value in (one, other, third)]
    assert float((vectors[0] - vectors[1]).abs().max()) > 1e-3
    assert float((vectors[0] - vectors[2]).abs().max()) > 1e-3
