"""The data sheet says what a run's files say, asks for the rest, and tells what the law asks."""

from dataclasses import replace
from pathlib import Path

from unmist.run.recipe import Recipe
from unmist.run.sheet import sheet
from unmist.run.story import Point, Story

ABOUT = {
    "data": "emoji",
    "licence": "Apache-2.0",
    "fingerprint": "abc",
    "rows": 120,
    "held": 20,
    "notes": ["3 pictures left out"],
}


def sheet_text(story):
    return "\n".join(sheet(story))


STORY = Story(Path("run"), Recipe(), ABOUT, (), {}, ())
COPIES = {"name": "copies", "value": 0.02, "low": 0.01, "high": 0.04, "count": 500}


def test_what_the_files_say_is_there_and_the_rest_is_asked():
    """Fails if licence, rows or notes are lost, or an answer is made up."""
    text = sheet_text(STORY)
    for words in ("emoji", "Apache-2.0", "`abc`", "120 rows; 100 were learned from, 20 never"):
        assert words in text
    assert "- 3 pictures left out" in text
    assert text.count("**Ask:**") == 5
    bare = sheet_text(replace(STORY, about={}))
    assert "licence: not told" in bare
    assert "every row could be read" in bare


def test_copies_are_told_with_their_limits():
    """Fails if copies that were found are kept back, or none found is called none."""
    assert "not measured yet" in sheet_text(STORY)
    text = sheet_text(replace(STORY, scores={"copies": COPIES}))
    assert "2.00% of 500 samples are copies of training rows, 95 % limits 1.00% to 4.00%" in text
    assert "cannot be ruled out" in text
    few = {"copies": {**COPIES, "value": 0.0, "low": 0.0, "high": 0.005}}
    assert "cannot be ruled out" not in sheet_text(replace(STORY, scores=few))
    assert "0.00% of 500" in sheet_text(replace(STORY, scores={"copies": {**COPIES, "value": 0.0}}))


def test_alarms_and_an_unfinished_training_are_told():
    """Fails if what went wrong in training is not among the limits."""
    point = Point(64, 0.5, 1.0, 9.0, None, "", alarms=("it learns by heart",))
    text = sheet_text(replace(STORY, points=(point,)))
    assert "after 64 samples: it learns by heart" in text
    assert "not finished" in text


def test_article_50_is_told_in_plain_words():
    """Fails if a duty of marking or of disclosure is missing, or a command that helps with it."""
    text = sheet_text(STORY)
    for words in ("2024/1689", "2 August 2026", "paragraph 2", "paragraph 4", "paragraph 5"):
        assert words in text
    assert "no legal advice" in text
    assert "unmist publish run/samples --to published" in text
    assert "trusted by nobody else" in text
