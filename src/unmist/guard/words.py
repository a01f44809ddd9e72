"""Rules for the words that steered a picture."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from unmist.guard.detector import Finding, Seen
from unmist.guard.policy import Words

__all__ = ["WordRules", "plain_words", "steering"]

STEERING = (
    "wish",
    "prompt",
    "caption",
    "text",
    "words",
    "label",
    "class",
    "condition",
    "parameters",
)
"""A setting whose name holds one of these holds words that steered the picture."""


@dataclass(frozen=True)
class WordRules:
    """A detector of the rule's words and patterns; the reason names the rule, not the words."""

    rule: Words

    @property
    def name(self) -> str:
        """As in the policy."""
        return self.rule.limit.detector

    @property
    def version(self) -> str:
        """As in the policy."""
        return self.rule.version

    def __call__(self, pictures: Sequence[Seen]) -> list[Finding]:
        """1 where a rule holds, 0 where none does or no words steered the picture."""
        return [self._finding(list(steering(picture.settings))) for picture in pictures]

    def _finding(self, texts: list[str]) -> Finding:
        if not texts:
            return Finding(0.0, "no words steered it")
        said = [plain_words(text) for text in texts]
        for number, word in enumerate(self.rule.words, 1):
            wanted = f" {plain_words(word)} "
            if any(wanted in f" {text} " for text in said):
                return Finding(1.0, f"word {number} of the policy")
        for number, pattern in enumerate(self.rule.patterns, 1):
            found = re.compile(pattern, re.IGNORECASE)
            if any(found.search(text) for text in [*texts, *said]):
                return Finding(1.0, f"pattern {number} of the policy")
        return Finding(0.0, "no rule holds")


def plain_words(text: str) -> str:
    """Small letters and digits of compatible forms without accents, one blank between words.

    What has no width is left out, so that it does not part a word.
    """
    wide = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(c for c in wide if unicodedata.category(c) not in ("Mn", "Cf"))
    return " ".join(re.findall(r"\w+", kept.replace("_", " ")))


def steering(settings: Mapping[str, object]) -> Iterator[str]:
    """All texts below a setting named after words, in order."""
    for key, value in settings.items():
        if any(word in key.casefold() for word in STEERING):
            yield from _texts(value)
        elif isinstance(value, Mapping):
            yield from steering(value)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inside in value.items():
            yield str(key)
            yield from _texts(inside)
    elif isinstance(value, Sequence):
        for inside in value:
            yield from _texts(inside)
