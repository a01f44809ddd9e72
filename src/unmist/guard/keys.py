"""The keys of one who publishes: made on first use, kept in one folder that only its owner reads.

One secret, from which each purpose takes its own; and a pair of keys with a chain of certificates
for content credentials, unless the user has better ones. The root of the local chain signs once and
is then forgotten, so nothing else can ever come from it. Nobody else trusts it: it proves that two
pictures come from the same hand, not whose hand that is.
"""

import datetime
import fcntl
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from unmist.base import files
from unmist.base.faults import BadInput, CannotWrite

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

__all__ = ["Identity", "keys_home", "local_identity", "purpose_key", "read_identity", "secret_of"]

SECRET, PRIVATE, CHAIN = "secret", "credentials-key.pem", "credentials-chain.pem"
MOST = 1 << 16
YEARS = 10
LOCAL = "unmist, a local key"


@dataclass(frozen=True)
class Identity:
    """A private key and the certificates that lead from it to a root, both PEM; leaf first."""

    private: str = field(repr=False)
    chain: str


def keys_home(chosen: Path | None = None) -> Path:
    """The argument, else UNMIST_KEYS, else unmist/keys in XDG_DATA_HOME or ~/.local/share."""
    if chosen or os.environ.get("UNMIST_KEYS"):
        return chosen or Path(os.environ["UNMIST_KEYS"])
    try:
        shared = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    except RuntimeError:  # no home directory
        raise CannotWrite("no home directory for keys", mend="set UNMIST_KEYS") from None
    return Path(shared) / "unmist" / "keys"


def secret_of(home: Path, *, make: bool) -> bytes | None:
    """The 32 secret bytes of a folder; made there if `make`, else None where there are none."""
    path = home / SECRET
    if not path.exists():
        if not make:
            return None
        with _alone(home):
            if not path.exists():
                _keep(home, SECRET, secrets.token_hex(32) + "\n")
    text = files.read_bytes(path, most=MOST).decode(errors="replace").strip()
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        mend = "put back the right file: what was marked with it is not recognised without"
        raise BadInput("is not the 64 digits that unmist wrote", where=path, mend=mend)
    return found


def purpose_key(secret: bytes, purpose: str) -> bytes:
    """The 32 bytes for one purpose, as "watermark"; they tell nothing of the secret or another."""
    return hmac.new(secret, purpose.encode(), sha256).digest()


def read_identity(private: Path, chain: Path) -> Identity:
    """The user's own, from two PEM files."""
    texts = [files.read_bytes(path, most=MOST, links=True) for path in (private, chain)]
    keys, certificates = (text.decode(errors="replace") for text in texts)
    if "PRIVATE KEY-----" not in keys:
        raise BadInput("holds no private key in PEM", where=private)
    if "-----BEGIN CERTIFICATE-----" not in certificates:
        raise BadInput("holds no certificate in PEM", where=chain)
    return Identity(keys, certificates)


def local_identity(home: Path) -> Identity:
    """The folder's own, made on first use. Raises BadInput without `cryptography`."""
    private, chain = home / PRIVATE, home / CHAIN
    if not chain.exists():
        with _alone(home):
            if not chain.exists():
                made = _made()
                _keep(home, PRIVATE, made.private)
                _keep(home, CHAIN, made.chain)  # last: where it stands, the key does
    return read_identity(private, chain)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """The folder, made if need be, for one process at a time: two must not make two keys."""
    with files.told(home):
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(home / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _keep(home: Path, name: str, text: str) -> None:
    """A file that only its owner can read, whole or not at all."""
    with files.whole(home / name) as beside:
        beside.touch(mode=0o600)
        beside.write_text(text)


def _made() -> Identity:
    """A new pair under a root of its own, whose private key is dropped here."""
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )
    except ImportError as error:
        mend = "pip install 'unmist[publish]', or name keys of your own"
        raise BadInput("a local key needs cryptography", where="credentials", mend=mend) from error
    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    mark = secrets.token_hex(4)
    chain = [_certificate(leaf, root, mark, root=False), _certificate(root, root, mark, root=True)]
    pem = "".join(part.public_bytes(Encoding.PEM).decode() for part in chain)
    private = leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(private.decode(), pem)


def _certificate(
    key: "EllipticCurvePrivateKey", signer: "EllipticCurvePrivateKey", mark: str, *, root: bool
) -> "Certificate":
    """Of one public key, with what C2PA 2.2, section 14.5.1, asks of a signer's certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(end: str) -> x509.Name:
        parts = {NameOID.ORGANIZATION_NAME: LOCAL, NameOID.COMMON_NAME: f"{LOCAL} {mark}{end}"}
        return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts.items()])

    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    usage = dict.fromkeys(_USAGES, False) | (
        {"key_cert_sign": True, "crl_sign": True} if root else {"digital_signature": True}
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name(" (root)" if root else ""))
        .issuer_name(name(" (root)"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not root:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        made = made.add_extension(purpose, critical=False)
    return made.sign(signer, SHA256())


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
