"""What the measures say in plain words, each sentence with how good the news is."""

from collections.abc import Iterator
from math import isfinite
from typing import Literal, NamedTuple

from unmist.metrics.classes import ClassBalance
from unmist.metrics.estimate import Estimate
from unmist.workflows.measures import Findings

__all__ = ["Sentence", "verdict"]

FAR = 0.25  # of the real pictures' own spread: beyond it samples are of another kind


class Sentence(NamedTuple):
    """One finding; kind says how good it is."""

    kind: Literal["good", "warn", "bad"]
    text: str


def verdict(findings: Findings) -> tuple[Sentence, ...]:
    """The findings in the order in which they matter."""
    return tuple(_sentences(findings))


def _sentences(findings: Findings) -> Iterator[Sentence]:
    by_name = {estimate.name: estimate for estimate in findings.estimates}
    for name in ("FID", "Fréchet distance"):
        if name in by_name:
            yield _distance(by_name[name], findings.spread)
    yield _copied(by_name["copies"])
    if findings.balance is not None:
        yield _classes(findings.balance)
    if "coverage" in by_name:
        yield _covered(by_name["coverage"])
    if "alike" in by_name:
        yield _repeated(by_name["alike"])


def _distance(found: Estimate, spread: float) -> Sentence:
    bounds = f"{found.low:.3g} … {found.high:.3g}, " if isfinite(found.low) else ""
    told = f"{found.name} {found.value:.3g} ({bounds}where 0 is no difference)"
    if isfinite(found.low) and found.low <= 0:
        return Sentence("good", f"No difference from real pictures was found: {told}.")
    share = max(0.0, found.value) / spread
    kind = "bad" if share > FAR else "warn"
    return Sentence(
        kind,
        f"Together they can be told from real pictures: {told}, {share:.1%} of the real pictures' "
        "own spread.",
    )


def _copied(found: Estimate) -> Sentence:
    told = f"{found.value:.1%} ({found.low:.1%} … {found.high:.1%}) of the samples are copies"
    if found.low > 0:
        text = f"Some training pictures come again: {told} beyond chance. Look at the pairs."
        return Sentence("bad", text)
    return Sentence("good", f"No copies beyond chance were found: {told}.")


def _repeated(found: Estimate) -> Sentence:
    told = f"{found.value:.1%} repeat another sample, of as many real pictures {found.floor:.1%}"
    if found.low > found.floor:
        return Sentence("warn", f"Samples repeat one another: {told}.")
    return Sentence("good", f"Samples do not repeat one another: {told}.")


def _classes(balance: ClassBalance) -> Sentence:
    there = sum(count > 0 for count in balance.data)
    if not balance.lost:
        text = f"All {there} classes come: none has less than half of its share beyond chance."
        return Sentence("good", text)
    shown = [
        f"{name} ({balance.shares[name][0]:.1%} for {balance.shares[name][1]:.1%})"
        for name in balance.lost[:8]
    ]
    more = f" and {len(balance.lost) - 8} more" if balance.lost[8:] else ""
    return Sentence("bad", f"Classes are lost or too rare: {', '.join(shown)}{more}.")


def _covered(found: Estimate) -> Sentence:
    told = (
        f"{found.value:.0%} of the real pictures have a sample nearby, with samples of the data's "
        f"own law {found.floor:.0%}"
    )
    if found.high < 0.95 * found.floor:
        return Sentence("warn", f"Part of the data's variety is not met: {told}.")
    return Sentence("good", f"The variety of the data is met: {told}.")
