"""Texts as a published encoder reads them: each encoded once, kept by its content's hash."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from unmist.base import files
from unmist.base.faults import BadInput, CannotWrite
from unmist.conditions.encoders import opened
from unmist.conditions.family import Value, chosen
from unmist.core.condition import Signals, Tokens

__all__ = ["EncodedTexts", "TokenEmbedder"]

PACK = 256  # texts of one file
MOST = 1 << 30


class EncodedTexts:
    """A reader: texts -> Tokens float32 (b, 1 + length, k), the first of each for the whole text.

    What was read stays in memory; with a `home` also in files there, from which the encoder's
    answers come back to the bit. A home that cannot be written costs time only.
    """

    def __init__(self, name: str, identity: str, length: int, home: Path | None) -> None:
        self.name, self.identity, self.length = name, identity, length
        self.home = home / f"{identity}-{length}" if home else None
        self.seen: dict[str, Tensor] = {}
        self.packs: dict[str, Path] | None = None

    def __call__(self, rows: Sequence) -> tuple[Value, Tensor]:
        """None and empty texts are none."""
        texts = [str(row) if row else "" for row in rows]
        self._learn(sorted({text for text in texts if text} - self.seen.keys()))
        found = [self.seen.get(text) for text in texts]
        width = next((one.shape[1] for one in found if one is not None), 1)
        values = torch.zeros(len(texts), 1 + self.length, width)
        mask = torch.zeros(len(texts), 1 + self.length, dtype=torch.bool)
        for row, one in enumerate(found):
            if one is not None:
                values[row, : len(one)], mask[row, : len(one)] = one.float(), True
        return Tokens(values, mask), mask[:, 0]

    def _learn(self, texts: list[str]) -> None:
        """From the files, and what they lack from the encoder."""
        self._read(texts)
        left = [text for text in texts if text not in self.seen]
        for start in range(0, len(left), PACK):
            part = left[start : start + PACK]
            answers = opened(self.name, self.identity)(part, self.length)
            self.seen |= dict(zip(part, answers, strict=True))
            self._keep(part)

    def _read(self, texts: list[str]) -> None:
        wanted: dict[Path, list[str]] = {}
        packs = self._known() if texts else {}
        for text in texts:
            if (path := packs.get(_key(text))) is not None:
                wanted.setdefault(path, []).append(text)
        for path, own in wanted.items():
            tensors = _opened(path)
            for text in own:
                one = tensors.get(_key(text))
                if one is not None and one.ndim == 2 and 1 < len(one) <= 1 + self.length:
                    self.seen[text] = one

    def _known(self) -> dict[str, Path]:
        """Which file holds which text, by the texts' hashes; damaged files hold none."""
        if self.packs is None:
            found = sorted(self.home.glob("*.safetensors")) if self.home else []
            self.packs = {key: path for path in found for key in _opened(path)}
        return self.packs

    def _keep(self, texts: list[str]) -> None:
        if self.home is None:
            return
        tensors = {_key(text): self.seen[text].contiguous() for text in texts}
        name = sha256("".join(sorted(tensors)).encode()).hexdigest()[:24]
        try:
            with files.told(self.home):
                self.home.mkdir(parents=True, exist_ok=True)
            content = safetensors.torch.save(tensors)
            files.write_bytes(self.home / f"{name}.safetensors", content)
        except CannotWrite:  # the answers are in memory: only time is lost
            return


def _key(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _opened(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(files.read_bytes(path, most=MOST))
    except (BadInput, SafetensorError, ValueError, KeyError, RuntimeError):
        return {}


class TokenEmbedder(nn.Module):
    """The encoder's tokens, each through a layer; the first of them, through another, as vector."""

    def __init__(self, hidden: int, width: int, length: int) -> None:
        super().__init__()
        self.shape = (1 + length, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.tokens, self.vector = nn.Linear(hidden, width), nn.Linear(hidden, width)
        self.nothing = nn.Embedding(1, width)

    def forward(self, value: Tokens | None, keep: Tensor, x: Tensor) -> Signals:
        """value (b, 1 + length, hidden) -> vector (b, width), tokens (b, 1 + length, width)."""
        like = self.norm.weight
        values = torch.zeros(len(keep), *self.shape, dtype=like.dtype, device=like.device)
        mask = torch.zeros(len(keep), self.shape[0], dtype=torch.bool, device=like.device)
        if value is not None:
            # a batch without any text knows no width: it is zeros as well
            given = value.values if value.values.shape[2] == self.shape[1] else values
            values = torch.where(keep[:, None, None], given.to(like), values)
            mask = value.mask & keep[:, None]
        values = self.norm(values)
        vector = chosen(self.vector(values[:, 0]), keep, self.nothing.weight[0])
        return Signals(vector=vector, tokens=Tokens(self.tokens(values), mask))
