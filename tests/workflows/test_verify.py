"""Every witness is asked, says what it knows and how sure it is; the answers follow from them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from unmist.base.faults import BadInput
from unmist.guard.detector import Called
from unmist.guard.ledger import HEAD, LEDGER
from unmist.guard.policy import Own, Policy
from unmist.run.picture import save_picture
from unmist.workflows.audit import audit
from unmist.workflows.publish import Release, publish
from unmist.workflows.verify import verify


def policy(*marks):
    return Policy("test", (Own(name="none", version="1", above=0.5, seconds=20.0),), marks)


def published(folder, *marks, count=2, side=48, keyed=False):
    """Pictures of a smooth kind, published; the folder of it all."""
    y, x = np.indices((side, side))
    for number in range(count):
        waves = [128 + 60 * np.sin((x + number * 5) / 6 + c) * np.cos(y / 7) for c in range(3)]
        pixels = np.stack(waves).astype(np.uint8)
        save_picture(folder / "in" / f"{number}.png", pixels, {"seed": number, "model": "waves"})
    publish(
        Release(
            pictures=(folder / "in",),
            to=folder / "out",
            policy=policy(*marks),
            own=(Called("none", "1", lambda pixels: 0.0),),
            keys=folder / "keys",
            keyed=keyed,
        )
    )
    return folder


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """Two pictures with all marks; tests leave them as they are."""
    pytest.importorskip("c2pa")
    return published(tmp_path_factory.mktemp("marked"), "credentials", "watermark")


def asked(folder, content, name="x.png", ledger=True):
    path = folder / "asked" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return verify(path, folder / "out" if ledger else None, folder / "keys")


def again(content, kind="PNG", **settings):
    target = BytesIO()
    with Image.open(BytesIO(content)) as image:
        image.save(target, format=kind, **settings)
    return target.getvalue()


def test_an_untouched_picture_is_known_by_all(marked):
    """Fails if a witness is silent, or odds are missing where there are some."""
    found = verify(marked / "out" / "1.png", keys=marked / "keys")
    assert [one.yes for one in found.found] == [True] * 4
    assert found.known
    assert (found.changed, found.what[:10]) == ("no", "made by AI")
    odds = {one.witness: one.log10_p for one in found.found}
    assert odds["settings"] is None
    assert odds["credentials"] < -30
    assert odds["watermark"] < -6
    assert odds["ledger"] < -70
    assert found.named("ledger").facts["file"] == "1.png"


def test_one_changed_byte_is_reported(marked):
    """Fails if a flip past a PNG's signature leaves it known unchanged, or is no answer at all."""
    content = (marked / "out" / "0.png").read_bytes()
    places = 8 + np.random.default_rng(0).permutation(len(content) - 8)[:24]
    header, credentials = 8 + 4 + 4, content.index(b"caBX") + 400
    for place in [header, credentials, *places.tolist()]:
        other = bytearray(content)
        other[place] ^= 1
        found = asked(marked, bytes(other))
        assert found.changed.startswith("yes"), place
        assert not found.known


def test_what_is_no_picture_is_refused(marked):
    """Fails if a text gets an answer as if it were a damaged picture."""
    with pytest.raises(BadInput, match="not a picture"):
        asked(marked, b"a letter, not a picture", "x.txt")


def test_stripped_metadata_leave_the_pixels_witnesses(marked):
    """Fails if a picture without its metadata is lost: ledger and watermark know the pixels."""
    found = asked(marked, again((marked / "out" / "0.png").read_bytes()))
    assert found.named("credentials").yes is False
    assert found.named("watermark").yes
    assert found.changed == "the pixels no, the file around them yes"
    found = asked(marked, again((marked / "out" / "0.png").read_bytes()), ledger=False)
    assert found.what == "made by AI (by its watermark)"
    assert found.changed == "yes: it was marked, and its credentials are gone"


def test_a_jpeg_of_it_is_known_by_its_watermark(marked):
    """Fails if the mark is gone after JPEG 80, or the ledger does not say which it looks like."""
    content = again((marked / "out" / "1.png").read_bytes(), "JPEG", quality=80)
    found = asked(marked, content, "x.jpg")
    assert found.named("watermark").yes
    assert "most like 1.png" in found.named("ledger").said
    assert found.who == "whoever holds this watermark key"


def test_what_it_was_before_the_marks_is_known_too(marked):
    """Fails if the source of a published picture is unknown to the ledger."""
    found = asked(marked, (marked / "in" / "0.png").read_bytes())
    assert "before the marks were put in" in found.named("ledger").said
    assert found.changed == "not known"


def test_a_stranger_is_not_known(marked):
    """Fails if any picture counts as ours, or is said not to be made by AI."""
    pixels = np.random.default_rng(5).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    target = BytesIO()
    Image.fromarray(pixels).save(target, format="PNG")
    found = asked(marked, target.getvalue())
    assert [one.yes for one in found.found] == [False] * 4
    assert found.what.startswith("not known")
    assert (found.who, found.changed, found.known) == ("not known", "not known", False)
    assert found.named("watermark").log10_p > -6


def test_a_strangers_credentials_prove_only_that_nothing_changed(marked, tmp_path):
    """Fails if anyone with a key of his own is believed to have made it with ours."""
    content = (marked / "out" / "0.png").read_bytes()
    (tmp_path / "x.png").write_bytes(content)
    found = verify(tmp_path / "x.png", keys=tmp_path / "none")
    credentials = found.named("credentials")
    assert (credentials.yes, credentials.changed, credentials.log10_p) == (True, False, None)
    assert "nothing here vouches" in credentials.said
    assert found.named("watermark").yes is None
    assert found.what.startswith("said to be made by AI, not proven")
    assert not found.known


def test_what_is_no_picture_is_told(tmp_path):
    """Fails if text is judged, or ends in a traceback."""
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(BadInput, match="not a picture"):
        verify(tmp_path / "a.png")


def test_an_audit_finds_what_was_done_to_the_folder(tmp_path):
    """Fails if an altered, added or missing file, or an edited ledger, is passed over."""
    folder = published(tmp_path)
    out = folder / "out"
    whole = audit(out)
    assert (whole.published, whole.refused, whole.faults, whole.notes) == (2, 0, (), ())
    picture, paper = (out / "0.png").read_bytes(), (out / "0.png.json").read_bytes()
    (out / "0.png").write_bytes(picture + b"x")
    (out / "1.png.json").unlink()
    (out / "new.png").write_bytes(picture)
    assert set(audit(out).faults) == {
        "0.png: is not as it was published",
        "1.png.json: is missing beside its picture",
        "new.png: is not in the ledger",
    }
    (out / "new.png").unlink()
    (out / "0.png").unlink()
    (out / "1.png").unlink()
    assert paper
    assert audit(out).faults == ()
    assert set(audit(out).notes) == {"0.png: is no longer here", "1.png: is no longer here"}
    with pytest.raises(BadInput, match="no ledger is here"):
        audit(tmp_path)


def test_only_a_head_noted_elsewhere_finds_a_whole_cut_back(tmp_path):
    """Fails if an older state of both files passes although the later head is known."""
    out = published(tmp_path, count=1) / "out"
    kept = {name: (out / name).read_bytes() for name in (LEDGER, HEAD)}
    first = audit(out).head
    published(tmp_path, count=2)
    later = audit(out).head
    assert audit(out, head=first).faults == ()
    for name, content in kept.items():
        (out / name).write_bytes(content)
    for path in out.glob("1.png*"):
        path.unlink()
    assert audit(out).faults == ()
    assert len(audit(out, head=later).faults) == 1
    with pytest.raises(BadInput, match="is no head"):
        audit(out, head="abc")


def test_a_keyed_ledger_is_checked_with_the_key(tmp_path):
    """Fails if a keyed ledger is called sound without its key, and nothing is said."""
    folder = published(tmp_path, count=1, keyed=True)
    assert audit(folder / "out", folder / "keys").notes == ()
    (note,) = audit(folder / "out", folder / "other").notes
    assert "not checked" in note
    wrong = tmp_path / "wrong"
    from unmist.guard.keys import secret_of

    secret_of(wrong, make=True)
    assert "not written with this key" in audit(folder / "out", wrong).faults[0]
