"""One picture on its way out: read once, marked, packed as PNG, signed, read back."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngInfo

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.data.picture import decoded, quiet
from unmist.data.reading import Reading
from unmist.guard.credentials import SOURCE_TYPE, read_credentials, signed
from unmist.guard.detector import pixel_digest
from unmist.guard.keys import Identity
from unmist.guard.watermark import detect, embed
from unmist.run.picture import FOREIGN, as_image, parameters_line, read_settings, settings_text

__all__ = ["Parcel", "Source", "disclosure", "opened_picture", "packed", "read_source"]

MOST = 1 << 28
KEY = "unmist"
XMP = "XML:com.adobe.xmp"


@dataclass(frozen=True)
class Parcel:
    """What is put into every picture: who signs, and the watermark's key; None and b"" for none."""

    identity: Identity | None = None
    watermark: bytes = b""


@dataclass(frozen=True, eq=False)
class Source:
    """A picture as it was read: its bytes, what it says of itself, its pixels with the watermark.

    pixels: uint8 (1 or 3, h, w), of which `digest` is the SHA-256; the other two digests are of the
    file and of the pixels as they came. fault: why it cannot be published whatever it shows.
    """

    path: Path
    content: bytes
    file_digest: str
    pixel_digest: str = ""
    pixels: np.ndarray = field(default_factory=lambda: np.zeros((1, 1, 1), np.uint8))
    settings: Mapping[str, object] = field(default_factory=dict)
    fault: str = ""

    @property
    def digest(self) -> str:
        """Of what the detectors see and others will."""
        return pixel_digest(self.pixels)


def read_source(path: Path, parcel: Parcel) -> Source:
    """A picture for publishing; what is wrong with it stands in `fault`. Raises BadInput (gone)."""
    content = files.read_bytes(path, most=MOST, links=True)
    digest = files.digest(content)
    try:
        plain, remark = opened_picture(content)
        settings = _settings(path)
    except BadInput as fault:
        return Source(path, content, digest, fault=fault.what)
    if files.digest(path) != digest:
        return Source(path, content, digest, fault="it changed while it was read")
    pixels, weak = _marked(plain, parcel.watermark) if parcel.watermark else (plain, "")
    fault = remark or weak
    return Source(path, content, digest, pixel_digest(plain), pixels, settings, fault)


def _marked(pixels: np.ndarray, key: bytes) -> tuple[np.ndarray, str]:
    """The picture with the watermark, and why it would not be found in it."""
    try:
        found = embed(pixels, key)
    except BadInput as fault:
        return pixels, f"no watermark can be put in: {fault.what}"
    odds = detect(found, key, search=False)
    return found, "" if odds.holds() else f"the watermark does not hold in it: {odds}"


def opened_picture(content: bytes) -> tuple[np.ndarray, str]:
    """uint8 (1 or 3, h, w) of a file's bytes, and what keeps it from being one still picture."""
    with quiet():
        found = decoded(content, Reading())
    remark = next((f"it has {line}" for line in found.remarks if line.startswith("frames")), "")
    return found.pixels.transpose(2, 0, 1).copy(), remark


def _settings(path: Path) -> dict[str, object]:
    """What the picture says of how it was made, empty where it says nothing."""
    try:
        return read_settings(path)
    except BadInput as fault:
        if "carries no settings" in fault.what or "is not a PNG" in fault.what:
            return {}
        raise


def disclosure() -> dict[str, str]:
    """What machines and people are told of every published picture."""
    return {"made_by": "AI", "digital_source_type": SOURCE_TYPE}


def packed(source: Source, name: str, parcel: Parcel) -> bytes:
    """The PNG that others will see: pixels, settings, the mark of its kind, credentials.

    Raises BadInput where credentials were put in and are not read back as valid.
    """
    info = PngInfo()
    if FOREIGN in source.settings:
        info.add_text(FOREIGN, str(source.settings[FOREIGN]))
    elif source.settings:
        info.add_text(FOREIGN, parameters_line(dict(source.settings)))
        info.add_text(KEY, settings_text(dict(source.settings)))
    info.add_itxt(XMP, _XMP)
    target = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        as_image(source.pixels).save(target, format="PNG", pnginfo=info)
    content = target.getvalue()
    if parcel.identity is None:
        return content
    content = signed(content, name, source.settings, parcel.identity)
    found = read_credentials(content, "PNG", parcel.identity.chain)
    if found.state not in ("valid", "trusted") or not found.made_by_ai:
        what = f"the credentials do not hold ({', '.join(found.faults) or found.state})"
        raise BadInput(what, where=name, mend="see whether certificates and key belong together")
    return content


_XMP = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>"""
"""IPTC's digital source type, for readers that know no C2PA."""
