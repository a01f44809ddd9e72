"""A text, as tokens for cross-attention and a vector of the whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.conditions.encoded import EncodedTexts, TokenEmbedder
from unmist.conditions.encoders import opened
from unmist.conditions.family import Column, Reader, Value, conditions, wrong_wish
from unmist.conditions.words import WordEmbedder, numbered, split, vocabulary
from unmist.core.condition import Sockets, Tokens
from unmist.nn.seeded import seeded

__all__ = ["Text"]

SMALL = "small"
MOST_TOKENS = 77  # of a caption, by a published encoder, where nothing else is said
LONGEST = 64  # words of a caption that are read, where nothing else is said
WORDS = 8192  # words with a vector of their own


@conditions("text")
@dataclass(frozen=True, kw_only=True)
class Text:
    """Words in an order, as tokens `width` wide and a vector of the whole.

    encoder: "small", our own: `layers` of a transformer, trained with the model; or a published
    one, frozen: "minilm", a folder, OWNER/NAME of the hub (see `encoders`). length: words (small)
    or tokens read of a text; words: those that have a vector of their own (small); hidden and
    identity: of the published encoder. The last four are taken from the training captions: all of
    the longest, up to 64 words or 77 tokens, and up to 8,192 words.
    """

    open: ClassVar[tuple[str, ...]] = ("length", "words", "hidden", "identity")

    encoder: str = SMALL
    width: int = 128
    layers: int = 2
    length: int = 0
    words: tuple[str, ...] = ()
    hidden: int = 0
    identity: str = ""

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2 or self.layers < 0 or not 0 <= self.length <= 1024:
            what = f"width {self.width}, layers {self.layers}, length {self.length}"
            mend = "an even width, 0 layers or more, length up to 1024"
            raise BadInput(what, where="text", mend=mend)

    def settled(self, column: Column) -> "Text":
        """With what is open taken from the training captions and the encoder."""
        texts = [str(text) for text in column.values if text]
        if not any(map(split, texts)):
            raise BadInput("the data's captions hold no words", where="text")
        if self.encoder == SMALL:
            length = self.length or min(max(len(split(text)) for text in texts), LONGEST)
            return replace(self, length=length, words=self.words or vocabulary(texts, WORDS))
        read = opened(self.encoder, self.identity)
        longest = self.length or min(max(read.counts(sorted(set(texts)))), MOST_TOKENS)
        return replace(
            self, length=min(longest, read.longest), hidden=read.width, identity=read.identity
        )

    def sockets(self, shape: tuple[int, ...]) -> Sockets:
        """Tokens and a vector."""
        return Sockets(vector=self.width, tokens=self.width)

    def build(self, shape: tuple[int, ...], seed: int) -> nn.Module:
        """Words, letters and transformer of our own; of a published one the layers behind it."""
        with seeded(seed):
            if self.encoder != SMALL:
                return TokenEmbedder(self.hidden, self.width, self.length)
            return WordEmbedder(len(self.words), self.width, self.layers, self.length)

    def reader(self, cache: Path | None = None) -> Reader:
        """Texts -> numbers of words and letters, or a published one's tokens; each read once."""
        if self.encoder != SMALL:
            return EncodedTexts(self.encoder, self.identity, self.length, cache)
        return _Numbering(self.words, self.length)

    def wish(self, text: str) -> str:
        """The text itself, if it has words and they are not too many."""
        own = self.encoder == SMALL
        count = len(split(text)) if own else self._counted(text)
        if not text.strip() or not 0 < count <= self.length:
            mend = f"the model reads 1 … {self.length}"
            raise wrong_wish(f"'{text[:40]}' has {count} {'words' if own else 'tokens'}", mend)
        return text

    def _counted(self, text: str) -> int:
        return opened(self.encoder, self.identity).counts([text])[0]

    def pieces(self, text: str) -> list[str]:
        """What its tokens stand for, behind the first, which stands for the whole."""
        if self.encoder == SMALL:
            return split(text)[: self.length]
        return opened(self.encoder, self.identity).pieces(text)[: self.length]

    def doubt(self, text: str) -> str:
        """Words that no caption held: our own encoder follows them by their letters only."""
        if self.encoder != SMALL:
            return ""
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
