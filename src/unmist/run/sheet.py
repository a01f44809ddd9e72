"""The data sheet: what is to be known of a model and its data before anything is published.

After "Datasheets for Datasets" (Gebru et al., 1803.09010), as far as a run's own files can answer;
what they cannot is asked, not made up. With it, what Article 50 of the European Union's AI Act
(Regulation 2024/1689) asks of such outputs, in plain words.
"""

from collections.abc import Iterator, Mapping

from unmist.run.story import Story

__all__ = ["sheet"]


def sheet(story: Story) -> Iterator[str]:
    """The sheet in lines of Markdown, for the end of the model's card."""
    yield "# Data sheet"
    for part in (_head, _origin, _content, _use, _copied, _limits, _publishing):
        yield ""
        yield from part(story)


def _of(story: Story, key: str) -> str:
    return str(story.about.get(key, "")) or "not told"


def _head(story: Story) -> Iterator[str]:
    yield (
        f"Of {story.name}. What a run's own files say is filled in. Lines that begin with **Ask:** "
        "are for whoever publishes: no file can answer them."
    )


def _origin(story: Story) -> Iterator[str]:
    yield "## Where the data come from"
    yield ""
    yield f"- data: {_of(story, 'data')}"
    yield f"- licence: {_of(story, 'licence')}"
    yield f"- fingerprint of all rows (SHA-256): `{_of(story, 'fingerprint')}`"
    yield "- **Ask:** who collected them, for what, and who paid for it?"
    yield "- **Ask:** do they show people, and did these people agree?"
    yield "- **Ask:** does the licence allow a model to be made, and its outputs to be sold?"


def _content(story: Story) -> Iterator[str]:
    rows, held = story.about.get("rows"), story.about.get("held")
    yield "## What is in them"
    yield ""
    if isinstance(rows, int) and isinstance(held, int):
        yield f"- {rows} rows; {rows - held} were learned from, {held} never shown to the model"
    shape = "x".join(map(str, story.recipe.shape)) or "not known"
    yield f"- each of shape {shape}, as the model sees them"
    notes = story.about.get("notes")
    listed = notes if isinstance(notes, list) else []
    yield from (f"- {note}" for note in listed)
    if not listed:
        yield "- every row could be read as it is"
    yield "- **Ask:** what is missing from them, and who is missing?"


def _use(story: Story) -> Iterator[str]:
    yield "## What was done with them"
    yield ""
    yield f"- {story.seen} of {story.recipe.training.samples} samples were seen in training"
    flip = "mirrored at random" if story.recipe.training.flip else "not mirrored"
    yield f"- pictures were {flip}; the rows themselves are not in this folder"
    if story.digest:
        yield f"- the weights that came of it: SHA-256 `{story.digest}`"
    if story.about.get("parent"):
        yield "- it began from another model: the sheet of that model's data belongs to this one"


def _copied(story: Story) -> Iterator[str]:
    yield "## Copies"
    yield ""
    found = story.scores.get("copies")
    if not isinstance(found, Mapping) or not isinstance(found.get("value"), float):
        yield "- not measured yet: `unmist evaluate` counts copies among samples"
        return
    low, high, count = (found.get(key) for key in ("low", "high", "count"))
    limits = f", 95 % limits {low:.2%} to {high:.2%}" if _numbers(low, high) else ""
    yield f"- {found['value']:.2%} of {count} samples are copies of training rows{limits}"
    if not isinstance(high, float) or high > 0.01:
        yield "- more than one in a hundred cannot be ruled out: publish with the check for copies"


def _numbers(*values: object) -> bool:
    return all(isinstance(value, float) for value in values)


def _limits(story: Story) -> Iterator[str]:
    yield "## Known limits"
    yield ""
    yield "- what is rare in the data is rarer, or lost, in the samples"
    yield "- what is skewed in the data stays skewed in the samples"
    yield from (f"- in training, after {seen} samples: {line}" for seen, line in story.alarms)
    if not story.finished:
        yield "- the training was not finished when this was written"
    if not story.scores:
        yield "- nothing was measured yet: how good the samples are is not known"
    yield "- a detector that finds nothing proves nothing: each misses some, refuses some wrongly"


def _publishing(story: Story) -> Iterator[str]:
    """What the law asks of published samples, and which command does it."""
    yield "## Publishing, and Article 50 of the EU AI Act"
    yield ""
    yield (
        "Article 50 of Regulation (EU) 2024/1689 applies from 2 August 2026. It is not much text; "
        "read it, and ask somebody who knows the law: this is no legal advice. In plain words:"
    )
    yield ""
    yield (
        "- **Whoever offers a model that makes pictures, sound, video or text** (paragraph 2) must "
        "see to it that machines can tell its outputs as made by AI: by a mark that is effective, "
        "that others can read, that is robust and reliable, as far as technically feasible."
    )
    yield (
        "- **Whoever uses one to make a deep fake**, something that looks like real people, places "
        "or events and would be taken for true (paragraph 4), must say that it was made by AI. For "
        "evident art, satire and fiction a hint that does not spoil the work is enough."
    )
    yield (
        "- Both must be said clearly, at the latest when somebody first meets the picture "
        "(paragraph 5), and so that people with disabilities can perceive it."
    )
    yield ""
    yield "What `unmist publish` does towards it:"
    yield ""
    yield "- content credentials (C2PA) and IPTC's source type say it to machines, in open formats"
    yield "- a watermark in the pixels stays when these are stripped; only its key finds it"
    yield "- the ledger tells later, to the byte, what was published, when and by which checks"
    yield ""
    yield (
        "What it does not do: a local key is trusted by nobody else (give one of your own by "
        "--sign-key); the watermark is no public standard; and no file tells the people who look "
        "at a picture: write it beside it."
    )
    yield ""
    yield "```"
    yield f"unmist publish {story.name}/samples --to published"
    yield "```"
