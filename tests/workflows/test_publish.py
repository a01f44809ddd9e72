"""Publishing from end to end: what passes is marked and recorded, what does not stays."""

import json
from io import BytesIO
from pathlib import Path

import faulty_detectors
import numpy as np
import pytest
from faulty_detectors import FAULTS
from PIL import Image

from unmist.base import files
from unmist.base.faults import BadInput, Busy
from unmist.guard.credentials import SOURCE_TYPE
from unmist.guard.detector import Called
from unmist.guard.ledger import read_ledger
from unmist.guard.policy import Copied, Nudity, Own, Policy, Words
from unmist.run.lock import hold
from unmist.run.model import WEIGHTS
from unmist.run.picture import read_settings, save_picture
from unmist.run.shipped import MODELS
from unmist.workflows import detecting
from unmist.workflows.audit import audit
from unmist.workflows.publish import Release, publish
from unmist.workflows.shelf import PUBLISHED

BRIGHT = Own(name="bright", version="1", above=0.5, seconds=5.0)
PLAIN = Policy("test", (BRIGHT, Words(words=("blood",), seconds=5.0)), ())


class Rows:
    """Data that nobody opens."""

    def open(self):
        raise ZeroDivisionError


def bright(pixels):
    return float(pixels.mean() > 128)


@pytest.fixture
def release(tmp_path):
    """Publish pictures of `folder`, or others, by a policy; every place in tmp_path."""

    def make(*pictures, policy=PLAIN, **more):
        own = (Called("bright", "1", bright),) if BRIGHT in policy.detectors else ()
        settings = {"own": own, "keys": tmp_path / "keys", **more}
        chosen = pictures or (tmp_path / "pictures",)
        return Release(pictures=chosen, to=tmp_path / "out", policy=policy, **settings)

    return make


def picture(tmp_path, name, level=50, shape=(1, 24, 24), **settings):
    draw = np.random.default_rng(level)
    pixels = draw.integers(0, 60, shape) + level
    path = tmp_path / "pictures" / name
    save_picture(path, pixels.astype(np.uint8), {"seed": level, "hash": "f" * 64, **settings})
    return path


def visible(tmp_path):
    return sorted(path.name for path in (tmp_path / "out").glob("[!.]*.png"))


def test_what_passes_is_out_and_what_does_not_is_aside(tmp_path, release):
    """Fails if a refused picture is seen, a passed one is not, or a source is touched."""
    for number, level in enumerate((20, 190, 40)):
        picture(tmp_path, f"{number}.png", level)
    picture(tmp_path, "3.png", 60, wish={"text": ["a bowl of Blood!"]})
    before = {path: path.read_bytes() for path in (tmp_path / "pictures").iterdir()}
    found = publish(release())
    assert [outcome.act for outcome in found] == ["published", "refused", "published", "refused"]
    assert found[1].reasons == ("bright: 1, allowed below 0.5",)
    assert found[3].reasons == ("words: 1, allowed below 0.5 (word 1 of the policy)",)
    assert visible(tmp_path) == ["0.png", "2.png"]
    assert {path: path.read_bytes() for path in (tmp_path / "pictures").iterdir()} == before
    aside = [path.read_bytes() for path in (tmp_path / "out-quarantine").glob("*.png")]
    assert sorted(aside) == sorted(
        content for p, content in before.items() if p.name in "1.png3.png"
    )
    assert audit(tmp_path / "out").faults == ()


def test_paper_and_picture_say_how_it_was_made(tmp_path, release):
    """Fails if settings, checks or the kind of source are lost, or a path is told."""
    picture(tmp_path, "0.png", 20)
    publish(release(policy=PLAIN.without(("words",))))
    out = tmp_path / "out" / "0.png"
    assert read_settings(out)["seed"] == 20
    with Image.open(out) as image:
        assert SOURCE_TYPE in image.info["XML:com.adobe.xmp"]
        assert "parameters" in image.info
    paper = json.loads((tmp_path / "out" / "0.png.json").read_text())
    assert paper["disclosure"] == {"made_by": "AI", "digital_source_type": SOURCE_TYPE}
    assert paper["settings"]["hash"] == "f" * 64
    assert [(check["detector"], check["below"]) for check in paper["checks"]] == [("bright", 0.5)]
    assert paper["not_checked"] == ["words"]
    assert str(tmp_path) not in json.dumps(paper)
    (line,) = read_ledger(tmp_path / "out").lines
    assert line.what["not_checked"] == ["words"]
    assert line.what["sha256"] == files.digest(out)


def test_nothing_is_published_twice(tmp_path, release):
    """Fails if the same content comes out again: other name, packing or marked."""
    first = picture(tmp_path, "0.png", 20)
    publish(release())
    again = tmp_path / "pictures" / "again.png"
    again.write_bytes(first.read_bytes())
    packed = tmp_path / "pictures" / "packed.png"
    with Image.open(first) as image:
        image.save(packed)
    acts = [o.act for o in publish(release(first, again, packed, tmp_path / "out" / "0.png"))]
    assert acts == ["there already"] * 4
    assert visible(tmp_path) == ["0.png"]
    assert len(read_ledger(tmp_path / "out").lines) == 1


def test_two_pictures_of_one_name_are_both_published(tmp_path, release):
    """Fails if one overwrites the other."""
    one = picture(tmp_path, "0.png", 20)
    publish(release())
    one.unlink()
    picture(tmp_path, "0.png", 30)
    publish(release())
    assert len(visible(tmp_path)) == 2
    assert audit(tmp_path / "out").faults == ()


def test_every_detector_fault_refuses_and_is_noted(tmp_path, release):
    """Fails if one of the faults publishes a picture, leaves no line, or ends in an exception."""
    picture(tmp_path, "0.png", 20)
    rule = Own(name="faulty", version="v1", above=0.5, seconds=0.2)
    policy = Policy("faults", (rule,), ())
    faulty_detectors.OPEN.update(faulty_detectors.open_now())
    noted = 0
    for name, fault in FAULTS.items():
        (outcome,) = publish(release(policy=policy, own=(fault,)))
        assert (name, outcome.act) == (name, "refused")
        assert visible(tmp_path) == []
        noted += 1
    lines = read_ledger(tmp_path / "out").lines
    assert noted >= 30
    assert {line.what["act"] for line in lines} == {"refused"}
    assert len({str(line.what["reasons"]) for line in lines}) > 10


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"<html>", "is a web page"),
        (b"\x89PNG\r\n\x1a\n" + b"x" * 50, "is truncated"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, release, content, why):
    """Fails if a file that no detector can see goes out, or stops the others."""
    good = picture(tmp_path, "good.png", 20)
    bad = good.with_name("bad.png")
    bad.write_bytes(content)
    found = publish(release(bad, good))
    assert [outcome.act for outcome in found] == ["refused", "published"]
    assert why in found[0].reasons[0]


def test_a_picture_that_says_nothing_of_itself_is_refused(tmp_path, release):
    """Fails if words that nobody knows count as harmless, unless the policy says so."""
    path = tmp_path / "silent.png"
    Image.new("L", (24, 24), 9).save(path)
    assert publish(release(path))[0].reasons == ("it does not say how it was made",)
    free = Policy("free", PLAIN.detectors, (), settings=False)
    assert publish(release(path, policy=free))[0].act == "published"


def test_frames_are_not_one_picture(tmp_path, release):
    """Fails if a film goes out after its first frame was judged."""
    path = tmp_path / "film.webp"
    frames = [Image.new("RGB", (24, 24), (n, 0, 0)) for n in (0, 255)]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    free = Policy("free", PLAIN.detectors, (), settings=False)
    (outcome,) = publish(release(path, policy=free))
    assert outcome.act == "refused"
    assert "frames" in outcome.reasons[0]


def test_what_is_missing_is_told_before_anything_is_written(tmp_path, release, monkeypatch):
    """Fails if a check that cannot run is skipped, or something is written before it is told."""
    path = picture(tmp_path, "0.png", 20)
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "nothing"))
    for rule, words in ((Nudity(), "fetch opennsfw"), (Copied(), "--model"), (BRIGHT, "own=")):
        with pytest.raises(BadInput) as told:
            publish(release(path, policy=Policy("p", (rule,), ()), own=()))
        assert words in f"{told.value}"
    with pytest.raises(BadInput, match="no rule for the detector"):
        publish(release(path, policy=Policy("p", (Words(),), ()), own=(Called("x", "1", bright),)))
    with pytest.raises(BadInput, match="no such picture"):
        publish(release(tmp_path / "nowhere.png"))
    with pytest.raises(BadInput, match="quarantine lies"):
        publish(release(path, quarantine=tmp_path / "out" / "aside"))
    assert not (tmp_path / "out").exists()


def test_a_plan_writes_nothing(tmp_path, release):
    """Fails if --plan leaves a folder, or says something else than what is done then."""
    picture(tmp_path, "0.png", 20)
    picture(tmp_path, "1.png", 190)
    acts = [outcome.act for outcome in publish(release(plan=True))]
    assert acts == ["would be published", "would be refused"]
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out-quarantine").exists()
    assert [outcome.act for outcome in publish(release())] == ["published", "refused"]


def test_two_at_once_do_not_mix(tmp_path, release):
    """Fails if a second publish writes into a folder that another holds."""
    picture(tmp_path, "0.png", 20)
    with hold(tmp_path / "out"), pytest.raises(Busy):
        publish(release())


def test_copies_of_what_was_learned_are_refused(tmp_path, release):
    """Fails if a training picture passes, shifted by a pixel too, or a fresh one does not."""
    draw = np.random.default_rng(0)
    rows = draw.integers(0, 256, (1200, 1, 12, 12), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=rows)
    from unmist.data.opening import open_data

    train = open_data(tmp_path / "data.npz").train
    settings = {"seed": 1}
    shifted = np.roll(rows[train[7]], 1, axis=2)
    fresh = draw.integers(0, 256, (1, 12, 12), dtype=np.uint8)
    for name, pixels in (("same", rows[train[3]]), ("shifted", shifted), ("fresh", fresh)):
        save_picture(tmp_path / "pictures" / f"{name}.png", pixels, settings)
    policy = Policy("copies", (Copied(seconds=60.0),), ())
    found = publish(release(policy=policy, against=str(tmp_path / "data.npz")))
    acts = {outcome.source.stem: outcome.act for outcome in found}
    assert acts == {"same": "refused", "shifted": "refused", "fresh": "published"}
    assert any("training row" in reason for reason in found[1].reasons)


def test_a_model_that_came_along_is_known_by_its_pictures(tmp_path, release, monkeypatch):
    """Fails if its name is taken for a folder, or is to be said although the pictures say it; or if
    pictures that claim it with other weights are believed."""
    asked = []
    monkeypatch.setattr(detecting, "Reference", lambda data: asked.append(data.source) or Rows())
    digest = files.digest(MODELS / "digits" / WEIGHTS)
    picture(tmp_path, "own.png", model="digits", hash=digest)
    policy = Policy("copies", (Copied(seconds=60.0),), ())
    for more in ({}, {"model": Path("digits")}):
        with pytest.raises(ZeroDivisionError):
            publish(release(policy=policy, **more))
    assert asked == ["digits", "digits"]
    picture(tmp_path, "other.png", model="digits", hash="0" * 64)
    with pytest.raises(BadInput, match="which pictures did the model learn from"):
        publish(release(policy=policy))


def test_too_few_pictures_cannot_tell_copies(tmp_path, release):
    """Fails if the threshold can never be reached, so that every copy passes."""
    few = np.random.default_rng(0).integers(0, 256, (90, 1, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", x=few)
    picture(tmp_path, "0.png", 20)
    with pytest.raises(BadInput, match="cannot make it as sure"):
        publish(release(policy=Policy("c", (Copied(),), ()), against=str(tmp_path / "data.npz")))


def test_a_watermark_is_in_what_is_judged_and_published(tmp_path, release):
    """Fails if the mark is put in after the verdict, or is not found again."""
    from unmist.guard.keys import purpose_key, secret_of
    from unmist.guard.watermark import detect

    path = picture(tmp_path, "0.png", 20, (3, 32, 32))
    publish(release(policy=Policy("m", PLAIN.detectors, ("watermark",))))
    with Image.open(BytesIO((tmp_path / "out" / "0.png").read_bytes())) as image:
        pixels = np.asarray(image).transpose(2, 0, 1).copy()
    key = purpose_key(secret_of(tmp_path / "keys", make=False), "watermark")
    assert detect(pixels, key, search=False).holds()
    with Image.open(path) as image:
        plain = np.asarray(image).transpose(2, 0, 1).astype(float)
    assert 0 < np.abs(pixels - plain).mean() < 5
    (line,) = [
        line for line in read_ledger(tmp_path / "out").lines if line.what["act"] == PUBLISHED
    ]
    assert line.what["pixels"] != line.what["source_pixels"]


def test_what_cannot_be_marked_is_refused(tmp_path, release):
    """Fails if a picture that the policy wants marked goes out without the mark."""
    picture(tmp_path, "0.png", 20, (1, 8, 8))
    (outcome,) = publish(release(policy=Policy("m", PLAIN.detectors, ("watermark",))))
    assert outcome.act == "refused"
    assert "no watermark" in outcome.reasons[0]
