"""The report of an evaluation: one page that a person can read, with the pictures to check it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from math import isfinite, nan

from unmist.data.dataset import DataSet
from unmist.metrics.copies import Copy
from unmist.metrics.estimate import Estimate
from unmist.run.picture import settings_text
from unmist.run.story import Story
from unmist.workflows.charts import Line, chart
from unmist.workflows.measures import Evidence, Findings
from unmist.workflows.report_page import document, picture, section, sheet, table, verdict_list
from unmist.workflows.verdict import verdict

__all__ = ["Subject", "page"]

GRID = 64
CLASSES = 60
NOTICES = 40


@dataclass(frozen=True, eq=False)
class Subject:
    """What a report is about; story where a model was judged."""

    name: str
    data: DataSet
    findings: Findings
    evidence: Evidence
    settings: dict[str, object]
    story: Story | None


def page(subject: Subject) -> str:
    """The HTML document."""
    kind = "samples of the model" if subject.story else "pictures of"
    lines = (
        f"{subject.findings.count:,} {kind} {subject.name} against {subject.data.name}: "
        f"{len(subject.data.held):,} held-out pictures that no training saw.",
        f"Features: {subject.findings.features}. An interval holds the true value in 95 of 100 "
        "repeated draws; the floor is what real pictures get.",
    )
    parts = (
        _verdict,
        _measures,
        _classes,
        _samples,
        _nearest,
        _farthest,
        _curves,
        _alarms,
        _repeat,
    )
    return document(f"How good: {subject.name}", lines, (part(subject) for part in parts))


def _verdict(subject: Subject) -> str:
    return section("In short", "", verdict_list(verdict(subject.findings)))


HOW = {
    "FID": "Distance between the laws of the features. 0: none; free of the sample size's bias.",
    "Fréchet distance": "Distance between the laws of the features; 0 is none. Compare only under "
    "the same features.",
    "precision": "Share of samples that lie among the real pictures: how lifelike single ones are.",
    "recall": "Share of real pictures that lie among the samples: how much of the data is met.",
    "density": "How deep samples lie among real pictures; about 1 for real ones, more is too safe.",
    "coverage": "Share of real pictures with a sample nearby: low where modes are lost.",
    "KID": "Distance between the third moments of the features; 0 is none, at any sample size.",
    "kernel distance": "Distance between the third moments of the features; 0 is none, at any "
    "sample size.",
    "Inception Score": "How sure and how varied the classifier's answers are; compare with the "
    "floor.",
    "classifier score": "How sure and how varied the classifier's answers are; compare with the "
    "floor.",
    "total variation distance": "Half the sum of the differences of the classes' shares.",
    "copies": "Share of samples that are copies of training pictures, beyond what real pictures "
    "would be suspected of.",
    "bits per dimension (variational bound)": "What a held-out picture costs to tell, a number of "
    "it, by this model: at most this.",
    "bits per dimension (probability-flow ODE)": "The same along the deterministic path: the "
    "model's own density.",
    "alike": "Share of samples that lie nearer to another sample than real pictures do.",
}


def _measures(subject: Subject) -> str:
    rows = [
        (
            f"{escape(found.name)}<br><span class='how'>{escape(HOW.get(found.name, found.method))}"
            "</span>",
            _number(found.value, found),
            f"{_number(found.low, found)} … {_number(found.high, found)}"
            if isfinite(found.low + found.high)
            else "",
            _number(found.floor, found) if isfinite(found.floor) else "",
            f"{found.count:,}" + (f" / {found.reference:,}" if found.reference else ""),
        )
        for found in subject.findings.estimates
    ]
    heads = ("Measure", "Value", "95 % interval", "Floor", "Samples / real")
    notes = "".join(f"<p class='how'>{escape(note)}.</p>" for note in subject.findings.notes)
    if subject.findings.accuracy is not None:
        notes += (
            "<p class='how'>The classifier behind the features names "
            f"{subject.findings.accuracy:.1%} of the held-out pictures right.</p>"
        )
    return section("Measures", "", table(heads, rows), notes)


SHARES = ("precision", "recall", "coverage", "copies", "alike", "total variation")


def _number(value: float, found: Estimate) -> str:
    return f"{value:.1%}" if found.name.startswith(SHARES) else f"{value:.4g}"


def _classes(subject: Subject) -> str:
    balance = subject.findings.balance
    if balance is None:
        return ""
    shares = balance.shares
    most = max(max(pair) for pair in shares.values())
    shown = list(shares)
    told = "How often each class comes, as the features' classifier names them."
    if len(shares) > CLASSES:
        shown.sort(key=lambda name: shares[name][0] / max(shares[name][1], 1e-9))
        told += f" The {CLASSES} rarest of {len(shares)}, against the data."
    rows = []
    for name in shown[:CLASSES]:
        ours, theirs = shares[name]
        word = "lost or too rare" if name in balance.lost else ""
        rows.append(
            (
                escape(name),
                _bar(ours / most, "") + f"{ours:.1%}",
                _bar(theirs / most, " real") + f"{theirs:.1%}",
                f"<strong>{word}</strong>" if word else "",
            )
        )
    return section("Classes", told, table(("Class", "Samples", "Data", "Finding"), rows))


def _bar(share: float, kind: str) -> str:
    return f'<span class="bar{kind}" style="width:{5 * share:.2f}rem"></span>'


def _samples(subject: Subject) -> str:
    pixels = subject.evidence.pixels[:GRID]
    return section(
        "The first ones",
        f"Numbers 0 to {len(pixels) - 1}, not chosen.",
        sheet(pixels, f"A grid of the first {len(pixels)} pictures that were judged", 8),
    )


def _nearest(subject: Subject) -> str:
    evidence = subject.evidence
    told = (
        "Left a judged picture, right the training picture nearest to it. The number is its "
        "distance over the mean distance of the 20 nearest: 0 is an exact copy."
    )
    others = (
        "The nearest of the others"
        if evidence.suspects
        else "No suspect of copying; the nearest ones"
    )
    return section(
        "Nearest training pictures",
        told,
        _pairs(subject, evidence.suspects, "Suspects of copying"),
        _pairs(subject, evidence.nearest, others),
    )


def _pairs(subject: Subject, pairs: tuple[Copy, ...], title: str) -> str:
    cards = []
    for pair in pairs:
        ours, theirs = subject.evidence.pixels[pair.sample], subject.data.values[pair.original]
        source = subject.data.sources[pair.original]
        cards.append(
            '<figure><div class="pair">'
            + picture(ours, f"picture {pair.sample}")
            + picture(theirs, f"its nearest training picture, {source}")
            + f"</div><figcaption>{pair.sample} | {escape(source)}<br>"
            f"{pair.ratio:.2f} in {escape(pair.seen)}</figcaption></figure>"
        )
    return f'<h3>{title}</h3><div class="row">{"".join(cards)}</div>' if cards else ""


def _farthest(subject: Subject) -> str:
    evidence = subject.evidence
    cards = [
        f"<figure>{picture(evidence.pixels[row], f'picture {row}, unlike real ones')}"
        f"<figcaption>{row}</figcaption></figure>"
        for row in evidence.farthest
    ]
    told = "Those that lie farthest from all held-out pictures, the worst first."
    return section("Least like the data", told, f'<div class="row">{"".join(cards)}</div>')


def _curves(subject: Subject) -> str:
    story = subject.story
    if story is None:
        return ""
    loss = Line("training", tuple((p.seen, p.loss) for p in story.points))
    held = Line("held out", tuple((seen, held.mean) for seen, held in story.held))
    speed = Line("training", tuple((p.seen, p.speed) for p in story.points))
    charts = (
        chart("Loss", (loss, held), SEEN),
        *_progress(story),
        chart("Samples a second", (speed,), SEEN),
    )
    return section(
        "Training",
        f"{story.seen:,} of {story.recipe.training.samples:,} samples were seen.",
        f'<div class="charts">{"".join(charts)}</div>' if any(charts) else "",
    )


def _progress(story: Story) -> Iterator[str]:
    """The measures that were taken while it trained, each beside what real pictures get."""
    for title, *keys in MEASURED:
        lines = [
            Line(name, tuple((p.seen, _float(p.measure.get(key))) for p in story.points))
            for key, name in zip(keys, ("samples", "real pictures"), strict=True)
        ]
        yield chart(title, lines, SEEN)


SEEN = "samples seen"
MEASURED = (
    ("Fréchet distance", "frechet", "floor"),
    ("Coverage", "coverage", "expected_coverage"),
    ("Suspects of copying", "copies", "real_copies"),
    ("Repeats", "repeats", "real_repeats"),
)


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else nan


def _alarms(subject: Subject) -> str:
    story = subject.story
    points = story.points if story else ()
    told = [
        (point.seen, line)
        for point in points
        for line in (*point.alarms, *([point.notice] if point.notice else []))
    ]
    lines = "".join(
        f"<li>after {seen:,} samples: {escape(line)}</li>" for seen, line in told[-NOTICES:]
    )
    return section("Alarms of the training", "", f"<ul>{lines}</ul>" if lines else "")


def _repeat(subject: Subject) -> str:
    told = json.dumps(json.loads(settings_text(subject.settings)), indent=1, sort_keys=True)
    return section("To repeat it", "", f"<pre>{escape(told)}</pre>")
