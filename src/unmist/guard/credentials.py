"""Content credentials (C2PA 2.2): who made a picture, with what, and that it was not changed since.

Signed and read by c2pa's own library, without the network: no time stamp is asked for, no manifest
fetched. The digital source type is IPTC's `trainedAlgorithmicMedia`.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING

from unmist.base.faults import BadInput
from unmist.guard.keys import Identity

if TYPE_CHECKING:
    from c2pa import Context  # pyright: ignore[reportMissingImports]

__all__ = ["SOURCE_TYPE", "Credentials", "read_credentials", "signed"]

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SETTINGS = "org.unmist.settings"
FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_ACTIONS = ("c2pa.actions.v2", "c2pa.actions")


@dataclass(frozen=True)
class Credentials:
    """What a picture's credentials say, and whether they hold.

    state: "none", "valid" (to the byte as it was signed, by a key that nobody here vouches for),
    "trusted" (by a root of the reader's) or "changed"; faults: what does not hold, in c2pa's words.
    """

    state: str
    signer: str = ""
    made_by_ai: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


def signed(png: bytes, title: str, settings: Mapping[str, object], who: Identity) -> bytes:
    """A PNG's bytes with credentials put in. Raises BadInput without c2pa, or for unfit keys.

    settings: plain values, among them the model and its hash.
    """
    context = _context()
    from c2pa import (  # pyright: ignore[reportMissingImports]
        Builder,
        C2paError,
        C2paSignerInfo,
        C2paSigningAlg,
        Signer,
    )

    agent = {"name": "unmist", "version": version("unmist")}
    made = {"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": agent}
    manifest = {
        "claim_generator_info": [agent],
        "title": title,
        "format": FORMATS["PNG"],
        "assertions": [
            {"label": _ACTIONS[0], "data": {"actions": [made]}},
            {"label": SETTINGS, "data": {"json": json.dumps(settings, sort_keys=True)}},
        ],
    }
    target = BytesIO()
    try:
        algorithm = getattr(C2paSigningAlg, _algorithm(who))
        info = C2paSignerInfo(algorithm, who.chain.encode(), who.private.encode(), None)
        with Signer.from_info(info) as signer, Builder(json.dumps(manifest), context) as builder:
            builder.sign(signer, FORMATS["PNG"], BytesIO(png), target)
    except (C2paError, TypeError, ValueError) as error:
        why = " ".join(str(error).split())[:120]
        mend = "the certificates must fit the key and be made for signing content"
        raise BadInput(f"cannot be signed ({why})", where="credentials", mend=mend) from error
    return target.getvalue()


def _algorithm(who: Identity) -> str:
    """The signing algorithm that belongs to the private key, by C2PA's name."""
    from cryptography.hazmat.primitives.asymmetric import (  # pyright: ignore[reportMissingImports]
        ec,
        ed25519,
        rsa,
    )
    from cryptography.hazmat.primitives.serialization import (  # pyright: ignore[reportMissingImports]
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(who.private.encode(), None)
    except (TypeError, ValueError) as error:
        mend = "give it in PEM, without a password"
        raise BadInput("the private key cannot be read", where="credentials", mend=mend) from error
    match key:
        case ec.EllipticCurvePrivateKey() if key.curve.name in _CURVES:
            return _CURVES[key.curve.name]
        case rsa.RSAPrivateKey():
            return "PS256"
        case ed25519.Ed25519PrivateKey():
            return "ED25519"
        case _:
            raise BadInput("C2PA does not know this kind of key", where="credentials")


_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


def _context(roots: str = "") -> "Context":
    """No thumbnails, no network; `roots`, in PEM, are trusted."""
    try:
        from c2pa import Context, Settings  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        mend = "pip install 'unmist[publish]'"
        what = "content credentials need c2pa-python"
        raise BadInput(what, where="credentials", mend=mend) from error
    verify = {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": bool(roots)}
    settings: dict[str, object] = {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": verify,
        **({"trust": {"trust_anchors": roots}} if roots else {}),
    }
    return Context(Settings.from_dict(settings))


def read_credentials(content: bytes, kind: str, roots: str = "") -> Credentials:
    """Of a file's bytes and its format, "PNG", "JPEG" or "WEBP", read by c2pa's own reader.

    c2pa leaves out of its hash the place where the credentials themselves lie, padding included;
    a PNG's own check sums close that gap. Raises BadInput without c2pa.
    """
    context = _context(roots)
    from c2pa import C2paError, Reader  # pyright: ignore[reportMissingImports]

    if kind not in FORMATS:
        return Credentials("none")
    torn = list(_torn(content)) if kind == "PNG" else []
    try:
        reader = Reader.try_create(FORMATS[kind], BytesIO(content), context=context)
        if reader is None:
            return Credentials("changed" if torn else "none", faults=tuple(torn))
        with reader:
            state, table = reader.get_validation_state(), json.loads(reader.json())
    except C2paError as error:
        return Credentials("changed", faults=(*torn, " ".join(str(error).split())[:120]))
    manifest = table.get("manifests", {}).get(table.get("active_manifest", ""), {})
    bad = [
        status["code"]
        for status in table.get("validation_status", [])
        if status["code"] != "signingCredential.untrusted"
    ]
    holds = state in ("Valid", "Trusted") and not bad and not torn
    return Credentials(
        state=str(state).lower() if holds else "changed",
        signer=str(manifest.get("signature_info", {}).get("common_name", "")),
        made_by_ai=any(kind == SOURCE_TYPE for kind in _source_types(manifest)),
        settings=_settings(manifest),
        faults=(*torn, *bad),
    )


def _source_types(manifest: Mapping[str, object]) -> Iterator[object]:
    for data in _assertions(manifest, *_ACTIONS):
        actions = data.get("actions", [])
        for action in actions if isinstance(actions, list) else []:
            yield action.get("digitalSourceType") if isinstance(action, dict) else None


def _settings(manifest: Mapping[str, object]) -> dict[str, object]:
    for data in _assertions(manifest, SETTINGS):
        try:
            found = json.loads(str(data.get("json", "")))
        except ValueError:
            continue
        return found if isinstance(found, dict) else {}
    return {}


def _assertions(manifest: Mapping[str, object], *labels: str) -> Iterator[Mapping[str, object]]:
    listed = manifest.get("assertions", [])
    for assertion in listed if isinstance(listed, list) else []:
        match assertion:
            case {"label": str(label), "data": dict(data)} if label in labels:
                yield data
            case _:
                pass


def _torn(png: bytes) -> Iterator[str]:
    """What is wrong with a PNG's own sums (PNG 1.2, section 3.2): length, name, content, CRC."""
    place = 8
    while place < len(png):
        size = int.from_bytes(png[place : place + 4])
        name, end = png[place + 4 : place + 8], place + 12 + size
        if end > len(png):
            yield f"png: a part runs over the end ({name!r})"
            return
        if zlib.crc32(png[place + 4 : end - 4]) != int.from_bytes(png[end - 4 : end]):
            yield f"png: the check sum of {name.decode('ascii', 'replace')} is another"
        if name == b"IEND" and end != len(png):
            yield "png: something follows its end"
            return
        place = end
