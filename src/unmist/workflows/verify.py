"""What is this picture, who made it, was it changed: asked of all that can be asked, with odds.

Each finding says what it rests on. A signature and a hash leave chances too small to matter; a
watermark's come from its bits; what anyone can write, as settings, has none and proves nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.data.picture import FORMATS, quiet
from unmist.guard import ledger
from unmist.guard.credentials import read_credentials
from unmist.guard.detector import pixel_digest
from unmist.guard.keys import CHAIN, keys_home, purpose_key, secret_of
from unmist.guard.ledger import Ledger, Line, read_ledger
from unmist.guard.watermark import detect
from unmist.run.picture import FOREIGN, as_pixels, read_settings
from unmist.workflows.noise_witness import noise_witness
from unmist.workflows.parcel import opened_picture
from unmist.workflows.shelf import PUBLISHED
from unmist.workflows.witness import Found

__all__ = ["Found", "Verified", "ledger_key", "verify"]

MOST = 1 << 28
BY_HASH = -77.0
"""log10 of the chance that two pictures share a SHA-256."""
BY_SIGNATURE = -38.0
"""log10 of the chance to guess a signature of 128 bits of security."""
COMPARED = 2000
_SIGNATURES = {
    rb"\x89PNG\r\n\x1a\n": "PNG",
    rb"\xff\xd8\xff": "JPEG",
    rb"RIFF....WEBP": "WEBP",
}
"""What a file begins with whose credentials can be read though its header is damaged."""


@dataclass(frozen=True)
class Verified:
    """All witnesses, and what follows: three answers in words."""

    file: Path
    what: str
    who: str
    changed: str
    found: tuple[Found, ...]

    @property
    def known(self) -> bool:
        """Whether a witness that cannot be talked into it knows the picture, unchanged."""
        return any(f.yes and f.log10_p is not None for f in self.found) and self.changed == "no"

    def named(self, witness: str) -> Found:
        """What this witness says."""
        return next(found for found in self.found if found.witness == witness)


@dataclass(frozen=True, eq=False)
class _Case:
    """A file and what is at hand to ask: keys, and a folder with a ledger.

    pixels: None where it cannot be decoded, for the reason in `damage`.
    """

    path: Path
    content: bytes
    kind: str
    pixels: np.ndarray | None
    damage: str
    home: Path
    folder: Path | None


def verify(
    path: Path, folder: Path | None = None, keys: Path | None = None, model: Path | None = None
) -> Verified:
    """Ask every witness about a picture.

    folder: one that `publish` wrote, its own where it lies in one. keys: whose watermark and
    credentials are one's own. model: whose noise mark is looked for, some seconds of the way back.
    Raises BadInput where the file is no PNG, JPEG, WebP or the like.
    """
    content = files.read_bytes(path, most=MOST, links=True)
    pixels, damage = None, ""
    try:
        pixels, _ = opened_picture(content)
    except BadInput as fault:
        if not _header(content):
            raise BadInput(fault.what, where=path, mend=fault.mend) from fault
        damage = fault.what
    beside = path.resolve().parent
    if folder is None and (beside / ledger.LEDGER).is_file():
        folder = beside
    case = _Case(path, content, _header(content), pixels, damage, keys_home(keys), folder)
    found = (_credentials(case), _settings(case), _watermark(case), _ledger(case))
    if model is not None:
        found = (*found, noise_witness(path, pixels, model, case.home))
    changed = f"yes: it {damage}" if damage else _changed(found)
    return Verified(path, _what(found), _who(found), changed, found)


def _header(content: bytes) -> str:
    """The format that Pillow opens, else the one that a damaged file's signature names, or ""."""
    try:
        with quiet(), Image.open(BytesIO(content), formats=FORMATS) as image:
            return str(image.format)
    except Exception:  # ten decoders, fed by anybody, raise nearly every class there is
        signed = (
            kind for start, kind in _SIGNATURES.items() if re.match(start, content, re.DOTALL)
        )
        return next(signed, "")


def _credentials(case: _Case) -> Found:
    roots = case.home / CHAIN
    vouched = files.read_bytes(roots, most=1 << 16).decode() if roots.is_file() else ""
    try:
        found = read_credentials(case.content, case.kind, vouched)
    except BadInput as fault:
        return Found("credentials", None, f"not asked: {fault.what}; {fault.mend}")
    facts = {"signer": found.signer, "made_by_ai": found.made_by_ai, "settings": found.settings}
    if found.state == "none":
        return Found("credentials", False, "it carries none")
    if found.state == "changed":
        said = f"they do not hold: it was changed ({', '.join(found.faults) or 'not as signed'})"
        return Found("credentials", True, said, True, None, facts)
    made = "made by AI" if found.made_by_ai else "not said to be made by AI"
    own = found.state == "trusted"
    whose = (
        "your own key" if own else "a key that nothing here vouches for: anyone can have made it"
    )
    said = f"{made}, signed by {found.signer or 'nobody named'} ({whose}), not changed since"
    return Found("credentials", True, said, False, BY_SIGNATURE if own else None, facts)


def _settings(case: _Case) -> Found:
    try:
        settings = read_settings(case.path)
    except BadInput:
        return Found("settings", False, "it carries none")
    if FOREIGN in settings:
        said = f"those of another tool: {str(settings[FOREIGN])[:80]}"
    else:
        known = {name: settings.get(name) for name in ("model", "seed", "sample")}
        said = ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)
        said = f"{said}, model hash {str(settings.get('hash', 'none'))[:10]}"
    return Found("settings", True, f"{said} (anyone can write them)", facts=settings)


def _watermark(case: _Case) -> Found:
    if case.pixels is None:
        return Found("watermark", None, f"not asked: the picture {case.damage}")
    secret = secret_of(case.home, make=False)
    if secret is None:
        return Found("watermark", None, "not asked: no key is here; name its folder by --keys")
    try:
        odds = detect(case.pixels, purpose_key(secret, "watermark"))
    except BadInput as fault:
        return Found("watermark", None, f"not asked: {fault.what}")
    said = f"found, by your own key: {odds}" if odds.holds() else f"not found: {odds}"
    return Found("watermark", odds.holds(), said, None, odds.log10_p)


def ledger_key(folder: Path, home: Path) -> tuple[bytes, str]:
    """The key of a folder's ledger, and a remark where it cannot be asked for."""
    try:
        keyed = bool(read_ledger(folder).head.keyed)
    except BadInput:
        keyed = False
    if not keyed:
        return b"", ""
    secret = secret_of(home, make=False)
    if secret is None:
        return b"", "its keyed hashes were not checked: no key is here"
    return purpose_key(secret, "ledger"), ""


def _ledger(case: _Case) -> Found:
    if case.folder is None:
        return Found(
            "ledger", None, "not asked: it lies in no published folder; name one by --ledger"
        )
    key, remark = ledger_key(case.folder, case.home)
    found = read_ledger(case.folder, key)
    doubt = "" if found.sound else f"; the ledger itself was altered: {found.trouble[0]}"
    doubt += f"; {remark}" if remark else ""
    lines = list(ledger.entries(found.lines, PUBLISHED))
    digests = [("sha256", files.digest(case.content))]
    if case.pixels is not None:
        digests.append(("pixels", pixel_digest(case.pixels)))
    digests += [("source" if name == "sha256" else "source_pixels", d) for name, d in digests]
    for name, digest in digests:
        for line in lines:
            if line.what.get(name) == digest:
                return _known(line, found, name, doubt)
    for line in lines:
        if line.what.get("file") == case.path.name:
            said = f"line {line.number} has a picture of this name, of another content{doubt}"
            return Found("ledger", True, said, True, None, line.what)
    near = _nearest(case, lines)
    return Found("ledger", False, f"not among its {len(lines)} pictures{near}{doubt}")


def _known(line: Line, found: Ledger, name: str, doubt: str) -> Found:
    """The ledger's word for a picture that it has, by the file or only by its pixels."""
    how, changed = {
        "sha256": ("to the byte", False),
        "pixels": ("pixel for pixel; the file around them is another", True),
    }.get(name, ("this is what it was before the marks were put in", None))
    said = (
        f"line {line.number} of {len(found.lines)}: published as {line.what.get('file')} on "
        f"{line.what.get('time')}, {how}{doubt}"
    )
    changed = None if doubt else changed
    return Found("ledger", True, said, changed, BY_HASH, line.what)


def _nearest(case: _Case, lines: list[Line]) -> str:
    """Which published picture a changed one looks most like, where it looks much like one."""
    if case.folder is None or case.pixels is None:
        return ""
    best, which = 0.0, ""
    for line in lines[-COMPARED:]:
        name = str(line.what.get("file"))
        path = case.folder / Path(name).name
        if path.is_file() and (near := _likeness(case.pixels, path)) > best:
            best, which = near, name
    return f"; most like {which}, {best:.0f} dB" if best >= 20 else ""


def _likeness(pixels: np.ndarray, path: Path) -> float:
    """Peak signal-to-noise ratio in dB at the published picture's size; infinite where equal."""
    with quiet(), Image.open(path, formats=("PNG",)) as image:
        other, size = as_pixels(image.convert("RGB")), image.size
    channels = pixels if len(pixels) == 3 else pixels[:1].repeat(3, axis=0)
    picture = Image.fromarray(np.ascontiguousarray(channels.transpose(1, 2, 0)))
    brought = as_pixels(picture if picture.size == size else picture.resize(size))
    error = float(((brought.astype(np.float64) - other) ** 2).mean())
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def _sure(found: tuple[Found, ...]) -> Iterator[Found]:
    """Those that know the picture and cannot be talked into it."""
    return (one for one in found if one.yes and one.log10_p is not None)


def _what(found: tuple[Found, ...]) -> str:
    sure = [one.witness for one in _sure(found)]
    if sure:
        return f"made by AI (by its {', '.join(sure)})"
    claims = [one.witness for one in found if one.yes]
    if claims:
        return f"said to be made by AI, not proven (by its {', '.join(claims)})"
    return "not known: nothing here says that it was made by unmist, and nothing that it was not"


def _who(found: tuple[Found, ...]) -> str:
    credentials, settings, mark, book, *others = found
    if credentials.yes and not credentials.changed:
        return str(credentials.facts.get("signer") or "whoever holds the signing key")
    if mark.yes:
        return "whoever holds this watermark key"
    if any(other.yes for other in others):
        return "whoever holds this key of a noise mark"
    if book.log10_p is not None:
        return "whoever keeps this ledger"
    return "not known" + (", it claims to know itself" if settings.yes else "")


def _changed(found: tuple[Found, ...]) -> str:
    credentials, _, mark, book, *_ = found
    if credentials.changed or (book.changed and book.log10_p is None):
        return "yes"
    if book.changed:
        return "the pixels no, the file around them yes"
    if credentials.changed is False or book.changed is False:
        return "no"
    return "yes: it was marked, and its credentials are gone" if mark.yes else "not known"
