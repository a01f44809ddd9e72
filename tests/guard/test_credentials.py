"""Content credentials as c2pa's own reader reads them, and the keys behind them."""

import io
import stat

import numpy as np
import pytest
from PIL import Image

from unmist.base.faults import BadInput
from unmist.guard import credentials
from unmist.guard.credentials import Credentials, read_credentials, signed
from unmist.guard.keys import (
    Identity,
    keys_home,
    local_identity,
    purpose_key,
    read_identity,
    secret_of,
)


def png():
    target = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(target, format="PNG")
    return target.getvalue()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a local key."""
    pytest.importorskip("c2pa")
    pytest.importorskip("cryptography")
    folder = tmp_path_factory.mktemp("keys")
    local_identity(folder)
    return folder


SETTINGS = {"hash": "f" * 64, "seed": 3, "guide": None, "nested": {"scale": [1, 2.5]}}


def test_what_is_signed_is_read_back(home):
    """Fails if source type, settings or signer are lost, or a local key passes as trusted."""
    who = local_identity(home)
    content = signed(png(), "x.png", SETTINGS, who)
    found = read_credentials(content, "PNG")
    assert (found.state, found.made_by_ai, found.settings) == ("valid", True, SETTINGS)
    assert found.signer.startswith("unmist, a local key")
    assert found.faults == ()
    assert read_credentials(content, "PNG", who.chain).state == "trusted"
    assert read_credentials(png(), "PNG") == Credentials("none")
    with Image.open(io.BytesIO(content)) as image, Image.open(io.BytesIO(png())) as plain:
        assert np.array_equal(np.asarray(image), np.asarray(plain))


def test_c2pas_own_reader_calls_it_valid(home):
    """Fails if only we think that it holds."""
    import c2pa

    content = signed(png(), "x.png", SETTINGS, local_identity(home))
    with c2pa.Reader("image/png", io.BytesIO(content)) as reader:
        assert reader.get_validation_state() == "Valid"
        assert "trainedAlgorithmicMedia" in reader.json()


def test_every_changed_byte_is_reported(home):
    """Fails if one of all bytes can be another: c2pa alone passes over its own padding."""
    content = signed(png(), "x.png", SETTINGS, local_identity(home))
    places = np.random.default_rng(1).permutation(len(content))[:500]
    missed = []
    for place in places.tolist():
        other = bytearray(content)
        other[place] ^= 1
        if read_credentials(bytes(other), "PNG").state != "changed":
            missed.append(place)
    assert not missed


def test_what_is_cut_added_or_moved_is_reported(home):
    """Fails if credentials hold of another picture, or of more than the picture."""
    who = local_identity(home)
    content = signed(png(), "x.png", SETTINGS, who)
    for other in (content[:-1], content[:-20], content + b"x", content[:200]):
        assert read_credentials(other, "PNG").state == "changed"
    assert read_credentials(b"", "PNG").state in ("none", "changed")
    assert read_credentials(content, "GIF").state == "none"


def test_keys_of_ones_own(home, tmp_path):
    """Fails if a key of another kind does not sign, or an unfit one signs or says nothing."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    other = ec.generate_private_key(ec.SECP384R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    who = local_identity(home)
    try:
        state = read_credentials(signed(png(), "x", {}, Identity(pem, who.chain)), "PNG").state
    except BadInput:
        state = "not signed"
    assert state in ("not signed", "changed")
    with pytest.raises(BadInput, match="cannot be read"):
        signed(png(), "x", {}, Identity("-----BEGIN PRIVATE KEY-----", who.chain))
    (tmp_path / "a").write_text("nothing")
    with pytest.raises(BadInput, match="no private key"):
        read_identity(tmp_path / "a", home / "credentials-chain.pem")
    with pytest.raises(BadInput, match="no certificate"):
        read_identity(home / "credentials-key.pem", tmp_path / "a")


def test_keys_are_their_owners_alone(home, tmp_path, monkeypatch):
    """Fails if others can read a key, two calls make two, or a purpose tells of another."""
    secret = secret_of(tmp_path / "k", make=True)
    assert secret_of(tmp_path / "k", make=True) == secret
    assert secret_of(tmp_path / "none", make=False) is None
    for path in (tmp_path / "k" / "secret", home / "credentials-key.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o700
    keys = {purpose_key(secret, purpose) for purpose in ("watermark", "ledger", "noise")}
    assert len(keys) == 3
    assert all(len(key) == 32 for key in keys)
    assert secret not in keys
    (tmp_path / "k" / "secret").write_text("abc")
    with pytest.raises(BadInput, match="64 digits"):
        secret_of(tmp_path / "k", make=True)
    assert local_identity(home) == local_identity(home)
    assert "PRIVATE" not in repr(local_identity(home))
    monkeypatch.setenv("UNMIST_KEYS", str(tmp_path / "elsewhere"))
    assert keys_home() == tmp_path / "elsewhere"
    assert keys_home(tmp_path) == tmp_path


def test_without_c2pa_the_extra_is_named(monkeypatch):
    """Fails if a missing package ends in a traceback, or as credentials that hold."""
    monkeypatch.setitem(__import__("sys").modules, "c2pa", None)
    for call in (
        lambda: signed(png(), "x", {}, Identity("", "")),
        lambda: read_credentials(png(), "PNG"),
    ):
        with pytest.raises(BadInput, match="need c2pa") as told:
            call()
        assert "unmist[publish]" in told.value.mend


def test_the_source_type_is_iptcs():
    """Fails if machines cannot read what kind of source it is."""
    kinds = "http://cv.iptc.org/newscodes/digitalsourcetype/"
    assert f"{kinds}trainedAlgorithmicMedia" == credentials.SOURCE_TYPE
