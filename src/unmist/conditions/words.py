"""The encoder of our own: words of the captions and their letters, read by a small transformer.

A word that the captions held has a vector of its own; every word has one of its letters in threes
(Bojanowski et al. 2017, fastText), hashed into a table, so that a word never met still says
something. Trained with the model, needs no package.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import torch
from torch import Tensor, nn

from unmist.conditions.family import chosen
from unmist.core.condition import Signals, Tokens
from unmist.nn.attention import SelfAttention
from unmist.nn.blocks import heads_of
from unmist.nn.embeddings import grid_positions

__all__ = ["GRAMS", "WordEmbedder", "numbered", "split", "vocabulary"]

GRAMS = 12  # threes of letters read of one word
BUCKETS = 2048
_WORD = re.compile(r"[^\W_]+")


def split(text: str) -> list[str]:
    """The words of a text, small letters; signs between them are left out."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def vocabulary(texts: Iterable[str], most: int) -> tuple[str, ...]:
    """The most frequent words, by their frequency, those of one by their letters."""
    counts = Counter(word for text in texts for word in split(text))
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:most])


def numbered(words: Sequence[str], known: dict[str, int], length: int) -> tuple[Tensor, Tensor]:
    """int64 (length, 1 + GRAMS): the word's number and its letters', 0 for none; mask (length,)."""
    value = torch.zeros(length, 1 + GRAMS, dtype=torch.int64)
    mask = torch.zeros(length, dtype=torch.bool)
    for place, word in enumerate(words[:length]):
        grams = [gram_of(word, start) for start in range(len(word))][:GRAMS]
        value[place, 0] = known.get(word, 0)
        value[place, 1 : 1 + len(grams)] = torch.tensor(grams)
        mask[place] = True
    return value, mask


def gram_of(word: str, start: int) -> int:
    """1 … BUCKETS for three signs of <word>."""
    three = f"<{word}>"[start : start + 3]
    return 1 + int.from_bytes(blake2b(three.encode(), digest_size=4).digest()) % BUCKETS


class WordEmbedder(nn.Module):
    """Words -> vectors -> `layers` of a transformer -> tokens, and the first of them as vector.

    The first token stands for the whole text. Length is always the same, so that a row does not
    depend on the longest of its batch.
    """

    def __init__(self, words: int, width: int, layers: int, length: int) -> None:
        super().__init__()
        self.length = length
        self.words = nn.Embedding(words + 1, width, padding_idx=0)
        self.letters = nn.Embedding(BUCKETS + 1, width, padding_idx=0)
        self.whole = nn.Embedding(1, width)
        self.nothing = nn.Embedding(1, width)
        self.layers = nn.ModuleList(Layer(width) for _ in range(layers))
        self.last = nn.LayerNorm(width)

    def forward(self, value: Tokens | None, keep: Tensor, x: Tensor) -> Signals:
        """int64 (b, length, 1 + GRAMS) -> vector (b, width), tokens (b, 1 + length, width)."""
        rows = len(keep)
        if value is None:
            numbers = torch.zeros(rows, self.length, 1 + GRAMS, dtype=torch.int64, device=x.device)
            mask = numbers.new_zeros(rows, self.length, dtype=torch.bool)
        else:
            numbers = value.values.masked_fill(~keep[:, None, None], 0)
            mask = value.mask & keep[:, None]
        mask = torch.cat((mask.new_ones(rows, 1), mask), 1)
        tokens = self.read(numbers, mask)
        vector = chosen(tokens[:, 0], keep, self.nothing.weight[0])
        return Signals(vector=vector, tokens=Tokens(tokens, mask & keep[:, None]))

    def read(self, numbers: Tensor, mask: Tensor) -> Tensor:
        """The transformer's answer (b, 1 + length, width)."""
        grams = numbers[..., 1:]
        count = (grams > 0).sum(-1, keepdim=True).clamp(min=1)
        words = self.words(numbers[..., 0]) + self.letters(grams).sum(2) / count
        words = words + grid_positions((self.length,), words.shape[2]).to(words)
        hidden = torch.cat((self.whole.weight.expand(len(words), 1, -1), words), 1)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        return self.last(hidden)


class Layer(nn.Module):
    """Pre-norm attention among the words, then two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.own = SelfAttention(width, heads_of(width, 32))
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (b, n, c), mask (b, n): which words exist."""
        x = x + self.own(self.first(x), mask)
        return x + self.narrow(nn.functional.gelu(self.wide(self.second(x))))
