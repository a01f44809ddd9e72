"""The page: complete, self-contained, safe with hostile names, true to the numbers."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bars import bars

from unmist.data.dataset import Rows, assemble
from unmist.metrics.classes import class_balance
from unmist.metrics.copies import Copy
from unmist.metrics.estimate import Estimate
from unmist.run.story import Held, Point, Story
from unmist.workflows.charts import Line, chart, ticks
from unmist.workflows.measures import Evidence, Findings
from unmist.workflows.report import Subject, page
from unmist.workflows.verdict import verdict

HOSTILE = '<script src="https://example.org/x.js">&"\'</script>'
NAN = float("nan")


def estimate(name, value, low=NAN, high=NAN, floor=NAN):
    return Estimate(
        name=name, value=value, low=low, high=high, floor=floor, count=400, reference=150
    )


ESTIMATES = (
    estimate("Fréchet distance", 2.125, 1.5, 2.75, 0.031),
    estimate("coverage", 0.61, 0.55, 0.66, 0.97),
    estimate("alike", 0.02, 0.01, 0.04, 0.008),
    estimate("copies", 0.05, 0.03, 0.08, 0.0),
)


@pytest.fixture(scope="module")
def subject():
    """Findings of a model on bars whose names are hostile."""
    x, y = bars(40, 0)
    names = (HOSTILE, "lying")
    data = assemble(Rows(name=HOSTILE, values=x, labels=y, classes=names))
    balance = class_balance(torch.zeros(400, dtype=torch.int64), torch.from_numpy(y), names)
    findings = Findings(400, "labels-1", 64.0, ESTIMATES, balance, 0.987, ("few pictures",))
    pairs = (Copy(3, 7, 0.0), Copy(4, 8, 0.25, "features"))
    evidence = Evidence(x, (9, 5), pairs, (Copy(6, 2, 0.9, "features"),))
    return Subject(HOSTILE, data, findings, evidence, {"seed": 1, "note": HOSTILE}, story())


def story():
    measure = {"frechet": 5.5, "floor": 0.5, "coverage": 0.3, "expected_coverage": 0.9}
    held = Held(0.5, 0.1, (), ())
    points = (
        Point(32, 1.0, 1.0, 90.0, held, "", measure),
        Point(64, NAN, 1.0, 95.0, None, "back to 32"),
        Point(96, 0.75, 1.0, 97.0, held, "", {**measure, "frechet": 3.25}, ("class 7 is lost",)),
    )
    plan = SimpleNamespace(training=SimpleNamespace(samples=960))
    return Story("here", plan, {}, points, {}, ())


class Reader(HTMLParser):
    """What a browser would see: the texts, the pictures, and all that it would have to ask for."""

    VOID = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.texts, self.images, self.asked, self.open, self.tags = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.asked += [v for k, v in attrs.items() if k in ("src", "href", "action", "data")]
        if tag == "img":
            self.images.append(attrs)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


def test_the_page_asks_nothing_of_anybody(subject):
    """Fails if the page would load anything, run a script, or let a name become a tag."""
    text = page(subject)
    found = read(text)
    assert found.asked
    assert all(address.startswith("data:image/png;base64,") for address in found.asked)
    assert not {"script", "link", "iframe", "object", "form", "a"} & set(found.tags)
    assert not re.search(r"url\(|@import|\son\w+=", text.split("<body>")[0])
    assert "default-src 'none'" in text
    assert any(HOSTILE in part for part in found.texts)


def test_every_picture_has_words_and_a_size(subject):
    """Fails if a picture is nameless to who cannot see it, or the page jumps as it loads."""
    found = read(page(subject))
    # the grid, the farthest two, and two of each of three pairs
    assert len(found.images) == 1 + 2 + 6
    assert all(image["alt"] and int(image["width"]) > 0 for image in found.images)
    assert page(subject).count('role="img" aria-label=') >= 4


def test_numbers_are_shown_with_their_intervals_and_floors(subject):
    """Fails if a measure is missing, or stands there without what is needed to read it."""
    text = " ".join(read(page(subject)).texts)
    for told in ("2.125", "1.5 … 2.75", "0.031", "61.0%", "55.0% … 66.0%", "97.0%", "400 / 150"):
        assert told in text
    for told in ("few pictures", "98.7%", "lost or too rare", "Suspects of copying", "seed"):
        assert told in text
    assert "class 7 is lost" in text
    assert "after 64 samples: back to 32" in text


def test_the_curves_of_the_training_are_drawn(subject):
    """Fails if what the log measured is not drawn, or a loss that was not finite is."""
    text = page(subject)
    assert "Loss: training from 1 to 0.75; held out from 0.5 to 0.5" in text
    assert "Fréchet distance: samples from 5.5 to 3.25; real pictures from 0.5 to 0.5" in text
    assert "Suspects of copying: samples" not in text
    assert "nan" not in re.sub(r'base64,[^"]*', "", text)


def test_without_a_model_there_is_no_training(subject):
    """Fails if a folder of pictures is said to have been trained."""
    text = page(replace(subject, story=None))
    assert "<h2>Training</h2>" not in text
    assert "<h2>Alarms" not in text
    assert "pictures of" in text


def test_the_verdict_follows_the_intervals(subject):
    """Fails if good and bad news change places."""
    bad = {line.text.split(":")[0]: line.kind for line in verdict(subject.findings)}
    assert bad == {
        "Together they can be told from real pictures": "warn",
        "Some training pictures come again": "bad",
        "Classes are lost or too rare": "bad",
        "Part of the data's variety is not met": "warn",
        "Samples repeat one another": "warn",
    }
    fine = (
        estimate("Fréchet distance", 0.02, -0.1, 0.1, 0.031),
        estimate("coverage", 0.96, 0.93, 0.98, 0.97),
        estimate("alike", 0.01, 0.0, 0.02, 0.008),
        estimate("copies", 0.0, 0.0, 0.01, 0.0),
    )
    good = verdict(replace(subject.findings, estimates=fine, balance=None))
    assert [line.kind for line in good] == ["good"] * 4
    far = (estimate("Fréchet distance", 40.0, 38.0, 42.0), *fine[1:])
    assert verdict(replace(subject.findings, estimates=far))[0].kind == "bad"


def test_a_chart_of_nothing_is_nothing():
    """Fails if axes are drawn around no curve, or one point makes a line."""
    assert chart("x", [Line("a", ((0, 1.0),)), Line("b", ((0, NAN), (1, NAN)))], "") == ""


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 17), (0.001, 0.0011), (1e5, 3e7)])
def test_ticks_are_round_and_inside(low, high):
    """Fails if an axis has no numbers, too many, or some beyond its ends."""
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-12 <= value <= high + 1e-12 for value in found)
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])
    assert f"{steps[0]:e}"[0] in "125"


def test_a_constant_curve_is_drawn():
    """Fails if a curve without height divides by it."""
    assert "<polyline" in chart("x", [Line("a", ((0, 2.0), (1, 2.0)))], "n")
    assert "<polyline" in chart("x", [Line("a", ((1, 2.0), (1, 3.0)))], "n")
