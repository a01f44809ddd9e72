"""Scores tell copies, noise and fresh real pictures apart; a killed evaluation goes on."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from bars import bars
from PIL import Image

from unmist.base.faults import BadInput, Busy
from unmist.data.opening import open_data
from unmist.run.lock import hold
from unmist.run.model import load
from unmist.workflows import workers
from unmist.workflows.evaluate import Asked, evaluate, evaluating
from unmist.workflows.gallery import save_grid, save_samples
from unmist.workflows.sample import Samples, Shot, sample

pytestmark = pytest.mark.usefixtures("cache")

QUICK = Shot(seed=1, steps=3)


def judged(pixels, source, folder, **asked):
    """The scores of an array against the bars."""
    np.save(folder / "judged.npy", pixels)
    return evaluate(folder / "judged.npy", Asked(against=str(source), to=folder / "out", **asked))


def test_scores_tell_fresh_pictures_copies_and_noise_apart(source, tmp_path):
    """Fails where the distance ranks noise before real pictures, or copies are not counted."""
    data = open_data(source)
    fresh = judged(bars(400, 1)[0], source, tmp_path)
    assert fresh.frechet.low < fresh.frechet.high
    assert fresh.named("copies").low == 0
    assert fresh.named("coverage").value > 0.8
    assert fresh.balance.lost == ()
    assert fresh.accuracy > 0.95
    copied = judged(data.values[data.train[:400]], source, tmp_path)
    assert copied.named("copies").low > 0.9
    assert copied.verdict[1].kind == "bad"
    noise = np.random.default_rng(2).integers(0, 256, (400, 1, 8, 8)).astype(np.uint8)
    bad = judged(noise, source, tmp_path)
    assert bad.frechet.low > 10 * max(fresh.frechet.value, 0)
    assert bad.named("coverage").high < 0.5
    assert bad.verdict[0].kind == "bad"


def test_a_lost_class_is_told(source, tmp_path):
    """Fails where samples without one of two classes pass for samples of both."""
    x, y = bars(400, 1)
    scores = judged(x[y == 0], source, tmp_path)
    assert len(scores.balance.lost) == 1
    assert any("Classes are lost" in sentence.text for sentence in scores.verdict)
    assert scores.plain()["classes"]["lost"] == list(scores.balance.lost)


def test_a_model_is_measured_and_its_scores_kept(run, cache, tmp_path):
    """Fails where the scores do not reach the folder, or judge and data are measured twice."""
    folder = tmp_path / "bars8"
    shutil.copytree(run, folder)
    asked = Asked(count=120, shot=QUICK, block=50)
    scores = evaluate(load(folder), asked)
    with pytest.raises(BadInput, match="no measure 'Fréchet distance' was taken"):
        _ = scores.frechet
    assert any(note.startswith("not measured: 120 ") for note in scores.notes)
    kept = json.loads((folder / "scores.json").read_text())
    assert kept["copies"]["value"] == scores.named("copies").value
    assert kept["settings"]["sampling"]["steps"] == 3
    assert kept["settings"]["count"] == 120
    assert kept["verdict"] == [sentence.text for sentence in scores.verdict]
    assert "bars8" in (folder / "report.html").read_text()
    before = {path: path.stat().st_mtime_ns for path in (cache / "statistics").glob("*.safe*")}
    assert len(before) == 2
    assert evaluate(folder, asked) == scores
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_killed_evaluation_goes_on_with_what_is_missing(run, tmp_path, monkeypatch):
    """Fails if a kept block is made again, or the scores are not those of an unbroken run."""
    asked = Asked(count=130, shot=QUICK, block=40, to=tmp_path / "whole")
    evaluate(run, asked)
    made, real = [], workers.make_block

    def counted(part, block, most=2):
        if len(made) == most:
            raise KeyboardInterrupt
        real(part, block)
        made.append(block)

    monkeypatch.setattr(workers, "make_block", counted)
    broken = replace(asked, to=tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, broken)
    assert made == [(0, 40), (40, 80)]
    monkeypatch.setattr(workers, "make_block", lambda *words: counted(*words, most=9))
    notes = [step.note for step in evaluating(run, broken) if step.note]
    assert made == [(0, 40), (40, 80), (80, 120), (120, 130)]
    assert notes == ["2 of 4 blocks were measured before"]
    files = [(tmp_path / name / "scores.json").read_bytes() for name in ("whole", "broken")]
    assert files[0] == files[1]
    evaluate(run, replace(broken, count=120))
    assert len(made) == 4
    evaluate(run, replace(broken, count=120, fresh=True))
    assert len(made) == 7


def test_a_damaged_block_is_measured_again(run, tmp_path):
    """Fails if a flipped bit goes into the scores, or half-written files stay for ever."""
    asked = Asked(count=120, shot=QUICK, block=60, to=tmp_path)
    before = evaluate(run, asked)
    path = next((tmp_path / "measures").glob("*/000000000-*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    torn = path.with_name(".tmp-0123456789ab.safetensors")
    torn.write_bytes(content[:99])
    assert evaluate(run, asked) == before
    assert path.read_bytes() != content
    assert not torn.exists()


def test_other_settings_and_weights_share_no_blocks(run, tmp_path):
    """Fails if blocks of another seed are taken for these, or those of old weights stay."""
    folder = tmp_path / "bars8"
    shutil.copytree(run, folder)
    asked = Asked(count=120, shot=QUICK, block=60)
    one = evaluate(folder, asked)
    other = evaluate(folder, replace(asked, shot=replace(QUICK, seed=2)))
    assert one.estimates != other.estimates
    assert len(list((folder / "measures").iterdir())) == 2
    weights = folder / "weights" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-3] ^= 1
    weights.write_bytes(content)
    evaluate(folder, asked)
    assert len(list((folder / "measures").iterdir())) == 1


def test_a_folder_of_samples_is_measured_without_its_grid(run, source, tmp_path):
    """Fails if the grid that `sample` leaves counts as a sample, or pictures differ from draws."""
    model = load(run)
    shot = replace(QUICK, count=120)
    samples = sample(model, shot)
    save_samples(samples, shot, tmp_path / "samples")
    assert (tmp_path / "samples" / "grid.png").is_file()
    asked = Asked(against=str(source), to=tmp_path / "out")
    found = evaluate(tmp_path / "samples", asked)
    assert found.settings["count"] == 120
    drawn = evaluate(model, Asked(count=120, shot=QUICK, to=tmp_path / "drawn"))
    for one, other in zip(found.estimates, drawn.estimates, strict=True):
        assert one.value == pytest.approx(other.value, rel=1e-4, abs=1e-6)


def test_a_grid_of_somebody_else_is_a_picture_like_others(run, source, tmp_path):
    """Fails if pictures are left out by their name alone."""
    (tmp_path / "pictures").mkdir()
    for number, picture in enumerate(bars(120, 5)[0]):
        name = "grid.png" if number == 7 else f"{number}.png"
        Image.fromarray(picture[0]).save(tmp_path / "pictures" / name)
    found = evaluate(tmp_path / "pictures", Asked(against=str(source), to=tmp_path / "out"))
    assert found.settings["count"] == 120


def test_another_reference_is_brought_to_the_model_s_shape(run, tmp_path):
    """Fails if a model cannot be measured against data of other size and channels."""
    (tmp_path / "data").mkdir()
    for number, picture in enumerate(bars(1200, 6)[0]):
        coloured = np.repeat(np.repeat(picture[0], 2, 0), 2, 1)[..., None].repeat(3, 2)
        Image.fromarray(coloured).save(tmp_path / "data" / f"{number}.png")
    asked = Asked(count=120, shot=QUICK, against=str(tmp_path / "data"), to=tmp_path / "out")
    found = evaluate(run, asked)
    assert found.settings["against"] == "data"
    assert found.balance is None


def test_changed_data_are_told(run, source, tmp_path):
    """Fails if a model is measured against other data than it learned from without a word."""
    folder = tmp_path / "bars8"
    shutil.copytree(run, folder)
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps({**about, "fingerprint": "0" * 64}))
    steps = evaluating(folder, Asked(count=120, shot=QUICK))
    notes = [next(steps).note, next(steps).note]
    assert notes == ["", "bars changed since this model learned from it: its split may be another"]


REFUSED = {
    "too few samples": ({"count": 20}, "count 20; give 100"),
    "no blocks": ({"block": 0}, "block 0; give 1"),
    "too many processes": ({"processes": 1000}, "1000 processes; 0 … 256"),
    "no such features": ({"features": "incepton"}, "no features called 'incepton'; did you mean"),
    "no such data": ({"against": "nowhere"}, "nowhere: no such folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_measured_is_refused(run, tmp_path, case):
    """Fails if a slip costs more than a line, or leaves a scores file."""
    asked, told = REFUSED[case]
    with pytest.raises(BadInput) as refused:
        evaluate(run, Asked(**{"count": 120, "to": tmp_path / "out", "shot": QUICK, **asked}))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out" / "scores.json").exists()


def test_too_few_pictures_of_either_side_are_refused(source, tmp_path):
    """Fails where a number is printed that no reference can carry, or a reference is guessed."""
    np.save(tmp_path / "few.npy", bars(200, 0)[0])
    with pytest.raises(BadInput, match="held-out pictures are too few to measure against"):
        evaluate(source, Asked(against=str(tmp_path / "few.npy"), to=tmp_path))
    np.save(tmp_path / "fewer.npy", bars(30, 0)[0])
    with pytest.raises(BadInput, match="30 pictures are too few"):
        evaluate(tmp_path / "fewer.npy", Asked(against=str(source), to=tmp_path))
    with pytest.raises(BadInput, match="holds 200 pictures, 300 are asked for"):
        evaluate(tmp_path / "few.npy", Asked(against=str(source), to=tmp_path, count=300))
    with pytest.raises(BadInput, match="no data are named to measure it against"):
        evaluate(source)


def test_one_process_works_in_a_place(run, tmp_path):
    """Fails if two evaluations write the same blocks at once."""
    asked = Asked(count=120, shot=QUICK, to=tmp_path)
    evaluate(run, asked)
    place = next(path for path in (tmp_path / "measures").iterdir() if path.is_dir())
    with hold(place), pytest.raises(Busy):
        evaluate(run, asked)


def test_a_grid_alone_is_no_set_of_samples(run, tmp_path, source):
    """Fails if an empty choice of pictures ends in anything but a refusal."""
    pixels = bars(4, 0)[0]
    settings = {"model": "m", "hash": "h", "seed": 0, "sampling": {}, "shape": [1, 8, 8]}
    (tmp_path / "grids").mkdir()
    save_grid(Samples(pixels, settings, 1), tmp_path / "grids" / "grid.png")
    with pytest.raises(BadInput, match="0 pictures are too few"):
        evaluate(tmp_path / "grids", Asked(against=str(source), to=tmp_path))
