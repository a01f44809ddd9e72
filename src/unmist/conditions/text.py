"""A text, as tokens for cross-attention and a vector of the whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.conditions.family import Column, Reader, Value, conditions, wrong_wish
from unmist.conditions.words import WordEmbedder, numbered, split, vocabulary
from unmist.core.condition import Sockets, Tokens
from unmist.nn.seeded import seeded

__all__ = ["Text"]

LONGEST = 64  # words of a caption that are read, where nothing else is said
WORDS = 8192  # words with a vector of their own


@conditions("text")
@dataclass(frozen=True, kw_only=True)
class Text:
    """Words in an order, `width` wide, read by `layers` of a small transformer of our own.

    length: words read of a caption; words: those that have a vector of their own. Both are taken
    from the training captions (all words of the longest, up to 64; up to 8,192 words).
    """

    open: ClassVar[tuple[str, ...]] = ("length", "words")

    width: int = 128
    layers: int = 2
    length: int = 0
    words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2 or self.layers < 0 or not 0 <= self.length <= 1024:
            what = f"width {self.width}, layers {self.layers}, length {self.length}"
            mend = "an even width, 0 layers or more, length up to 1024"
            raise BadInput(what, where="text", mend=mend)

    def settled(self, column: Column) -> "Text":
        """With length and words of the training captions."""
        texts = [str(text) for text in column.values if text]
        longest = max((len(split(text)) for text in texts), default=0)
        if not longest:
            raise BadInput("the data's captions hold no words", where="text")
        return replace(
            self,
            length=self.length or min(longest, LONGEST),
            words=self.words or vocabulary(texts, WORDS),
        )

    def sockets(self, shape: tuple[int, ...]) -> Sockets:
        """Tokens and a vector."""
        return Sockets(vector=self.width, tokens=self.width)

    def build(self, shape: tuple[int, ...], seed: int) -> nn.Module:
        """The words' table, the letters' and the transformer."""
        with seeded(seed):
            return WordEmbedder(len(self.words), self.width, self.layers, self.length)

    def reader(self, cache: Path | None = None) -> Reader:
        """Texts -> numbers of words and letters (b, length, 1 + GRAMS); each read once."""
        return _Numbering(self.words, self.length)

    def wish(self, text: str) -> str:
        """The text itself, if it has words and they are not too many."""
        count = len(split(text))
        if not 0 < count <= self.length:
            mend = f"the model reads 1 … {self.length}"
            raise wrong_wish(f"'{text[:40]}' has {count} words", mend)
        return text

    def doubt(self, text: str) -> str:
        """Words that no caption held: they are followed by their letters only."""
        known = set(self.words)
        lines = []
        for word in dict.fromkeys(split(text)):
            if word not in known:
                near = did_you_mean(word, list(self.words[:WORDS]))
                hint = f" ({near})" if near.startswith("did") else ""
                lines.append(f"no caption held '{word[:40]}'{hint}")
        return "; ".join(lines)

    def turn(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


class _Numbering:
    """A reader that remembers the texts it has read."""

    def __init__(self, words: tuple[str, ...], length: int) -> None:
        self.known = {word: number for number, word in enumerate(words, start=1)}
        self.length = length
        self.seen: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, rows: Sequence) -> tuple[Value, Tensor]:
        """Numbers and mask; whether there was any word."""
        pairs = [self.one(row or "") for row in rows]
        values, masks = (torch.stack(parts) for parts in zip(*pairs, strict=True))
        return Tokens(values, masks), masks.any(1)

    def one(self, text: str) -> tuple[Tensor, Tensor]:
        """Of one text."""
        if text not in self.seen:
            self.seen[text] = numbered(split(text), self.known, self.length)
        return self.seen[text]
