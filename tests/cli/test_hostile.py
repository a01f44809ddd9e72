"""Hostile flags, recipes and pictures: one line, an exit code, and nothing on the disk changes."""

import json
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

FLAGS = {
    "no command of that name": (["trian", "digits"], "did you mean 'train'?"),
    "a flag of that name": (["train", "digits", "--sed", "3"], "did you mean --seed?"),
    "no data": (["train"], "no data is named; give a folder"),
    "no such data": (["train", "digit"], "digit: no such folder, file or built-in set; did you"),
    "a name with a zero byte": (["train", "a\0b"], "no such folder, file or built-in set"),
    "a name that is too long": (["look", "a" * 5000], "no such folder, file or built-in set"),
    "two data sets": (["train", "digits", "emoji"], "not understood: ['emoji']"),
    "a seed in words": (["train", "digits", "--seed", "one"], "--seed: unable to convert"),
    "a seed below 0": (["train", "digits", "--seed=-1"], "training.seed in 0"),
    "a budget in words": (["train", "digits", "--budget", "soon"], "--budget: 'soon' is no time"),
    "a budget of nothing": (["train", "digits", "--budget", "0s"], "no time to work in"),
    "a size of that name": (["train", "digits", "--size", "smal"], "did you mean 'small'?"),
    "a setting without value": (["train", "digits", "--set", "x"], "--set x: is not name=value"),
    "a setting without name": (["train", "digits", "--set", "=3"], "is not name=value"),
    "a setting of that name": (
        ["train", "digits", "--set", "network.widht=3"],
        "recipe.network.widht: not a setting of UNet; did you mean 'width'?",
    ),
    "a setting inside a value": (
        ["train", "digits", "--set", "training.batch.size=3"],
        "batch is a value, not a table",
    ),
    "a word for a number": (["train", "digits", "--set", "training.batch=x"], "Expected int"),
    "no batch": (["train", "digits", "--set", "training.batch=0"], "must be 1 or more"),
    "not a number": (["train", "digits", "--set", "optimizer.rate=nan"], "NaN and infinity"),
    "a solver of that name": (
        ["train", "digits", "--set", "sampling.solver=hoin"],
        "no solver called 'hoin'; known: euler",
    ),
    "what cannot be accepted": (["train", "digits", "--accept", "drft"], "did you mean 'drift'?"),
    "no such recipe": (["train", "digits", "--recipe", "nowhere.toml"], "nowhere.toml: No such"),
    "no such model": (["sample", "nowhere"], "nowhere: no model is here"),
    "a value that is missing": (["train", "digits", "--to"], "--to requires an argument"),
    "noise of nothing": (["look", "noise", "nowhere.png"], "nowhere.png: No such file"),
    "no such schedule": (["look", "schedules", "cosin"], "did you mean 'cosine'?"),
    "no such spacing": (
        ["look", "schedules", "flow", "--spacing", "karas"],
        "did you mean 'karras'?",
    ),
    "no steps": (["look", "schedules", "flow", "--steps", "0"], "0 steps; ask for 1 or more"),
    "a table's spacing elsewhere": (
        ["look", "schedules", "flow", "--spacing", "discrete"],
        "needs a table of betas",
    ),
    "curves in a folder": (["look", "schedules", "flow", "--to", "here"], "end it in .png"),
    "no budget to start with": (["start", "--budget", "later"], "'later' is no time"),
    "no data to start with": (["start", "--data", "nowhere"], "nowhere: no such folder"),
}


@pytest.mark.parametrize("name", FLAGS)
def test_hostile_flags(said, tmp_path, monkeypatch, name):
    """Fails if a slip of the hand prints a trace, ends otherwise, or leaves anything behind."""
    monkeypatch.chdir(tmp_path)
    words, line = FLAGS[name]
    code, out, err = said(*words)
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("unmist: ")
    assert line in err.splitlines()[-1]
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


RECIPES = {
    "empty of sense": (b"\x00\xff\xfe", "is not UTF-8 text"),
    "not TOML": (b"network = [", "is not TOML"),
    "too long": (b"#" * (1 << 20) + b"##", "more than 1048576"),
    "of the future": (b"format = 99", "format 99, known up to 2; update unmist"),
    "with a wrong key": (b"[netwrk]\nwidth = 3", "recipe.netwrk: not a setting of Recipe"),
    "with a class": (b"[network]\nkind = 'os.system'", "no network called 'os.system'"),
    "with a wrong type": (b"[training]\nbatch = '64'", "recipe.training.batch: Expected int"),
    "with a list": (b"training = [1]", "recipe.training: Expected a table"),
    "with infinity": (b"[optimizer]\nrate = inf", "NaN and infinity"),
    "with a micro-batch": (b"[training]\nbatch = 64\nmicro = 7", "micro 7 does not divide"),
    "deep": (b"a = " + b"[" * 5000 + b"]" * 5000, "is nested too deeply"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_hostile_recipes(said, tmp_path, monkeypatch, snapshot, name):
    """Fails if a wrong recipe is half understood, or a run is begun with it."""
    monkeypatch.chdir(tmp_path)
    content, line = RECIPES[name]
    (tmp_path / "recipe.toml").write_bytes(content)
    before = snapshot(tmp_path)
    code, out, err = said("train", "digits", "--recipe", "recipe.toml")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert line in err
    assert snapshot(tmp_path) == before


def png(**texts):
    """A small PNG with text chunks."""
    info, out = PngInfo(), BytesIO()
    for key, text in texts.items():
        info.add_text(key, text)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def spliced(content, name, body):
    """A PNG with one more chunk behind its header."""
    return content[:33] + chunk(name, body) + content[33:]


BOMB = b"unmist\0\0" + zlib.compress(b"{" + b" " * (64 << 20))
WIDE = chunk(b"IHDR", struct.pack(">IIBBBBB", 99999, 99999, 8, 0, 0, 0, 0))
HUGE = b"\x89PNG\r\n\x1a\n" + WIDE + chunk(b"IDAT", zlib.compress(b"\0"))

PICTURES = {
    "empty": (b"", "is not a PNG, WebP or GIF picture"),
    "text": (b"hello " * 99, "is not a PNG, WebP or GIF picture"),
    "cut short": (png(unmist="{}")[:40], "p.png: is "),
    "without settings": (png(Title="x"), "carries no settings"),
    "with half a table": (png(unmist='{"seed": 3'), "not readable as JSON"),
    "with a key twice": (png(unmist='{"seed": 3, "seed": 4}'), "a key stands there twice"),
    "with NaN": (png(unmist='{"seed": NaN}'), "NaN is no number"),
    "with a list": (png(unmist="[1, 2]"), "its settings are no table"),
    "deep": (png(unmist='{"a": ' + "[" * 99999 + "]" * 99999 + "}"), "p.png: "),
    "with a text bomb": (spliced(png(), b"zTXt", BOMB), "p.png: is damaged"),
    "of 10 Gpx": (HUGE, "p.png: is damaged"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_hostile_pictures(said, tmp_path, snapshot, name):
    """Fails if a picture's settings are believed unread, or reading them costs a trace."""
    content, line = PICTURES[name]
    path = tmp_path / "p.png"
    path.write_bytes(content)
    before = snapshot(tmp_path)
    code, out, err = said("look", path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert line in err
    assert snapshot(tmp_path) == before


def told(model, **changed):
    """The settings of a sample of the model, with changes; None takes a key away."""
    from unmist.run.model import load

    plan = {
        "steps": 4,
        "solver": {"kind": "unipc", "order": 2},
        "spacing": {"kind": "karras", "rho": 7.0},
    }
    table = {"hash": load(model).digest, "sample": 0, "seed": 0, "eta": 0.0, "sampling": plan}
    return {key: value for key, value in {**table, **changed}.items() if value is not None}


LIKE = {
    "another model's": ({"hash": "0" * 64}, "another model made it"),
    "no seed": ({"seed": None}, "does not say how a sample was drawn"),
    "a seed in words": ({"seed": "zero"}, "settings.seed: Expected int"),
    "a seed below 0": ({"seed": -1}, "seed is -1"),
    "a seed beyond all": ({"seed": 2**70}, "seed is 1180591620717411303424"),
    "a number as truth": ({"exact": 1}, "settings.exact: Expected bool"),
    "a plan as text": ({"sampling": "fast"}, "settings.sampling: not a setting of Shot"),
    "a solver of that name": (
        {"sampling": {"solver": {"kind": "subprocess.run"}}},
        "no solver called 'subprocess.run'",
    ),
    "a million million steps": ({"sampling": {"steps": 10**12}}, "steps is 1000000000000"),
    "an unknown key": ({"command": "rm"}, "an unknown 'command'"),
    "eta beyond 1": ({"eta": 3.0}, "eta is 3.0"),
    "a count beyond all": ({"count": 10**9}, "count is 1000000000"),
    "a spacing without sense": (
        {"sampling": {"spacing": {"kind": "karras", "low": 9.0, "high": 3.0}}},
        "no levels between",
    ),
}


@pytest.mark.parametrize("name", LIKE)
def test_hostile_settings_are_not_repeated(said, tmp_path, snapshot, model, name):
    """Fails if `sample --like` draws from settings that are wrong or another model's."""
    changed, line = LIKE[name]
    path = tmp_path / "p.png"
    path.write_bytes(png(unmist=json.dumps(told(model, **changed))))
    before = snapshot(tmp_path, model)
    code, out, err = said("sample", model, "--like", path, "--to", tmp_path / "again")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert line in err
    assert snapshot(tmp_path, model) == before


SAMPLE = {
    "no count": (["--count", "0"], "count is 0"),
    "a solver of that name": (["--set", "solver=hoin"], "no solver called 'hoin'"),
    "a setting of that name": (["--set", "solver.ordr=3"], "did you mean 'order'?"),
    "an order that is none": (["--set", "solver.order=9"], "sample.solver"),
    "a picture of another kind": (["--to", "x.jpg"], "end it in .png"),
    "a picture that is none": (["--like", "/dev/null"], "is not a regular file"),
}


@pytest.mark.parametrize("name", SAMPLE)
def test_hostile_wishes(said, tmp_path, monkeypatch, snapshot, model, name):
    """Fails if a wish that cannot be met is met somehow."""
    monkeypatch.chdir(tmp_path)
    words, line = SAMPLE[name]
    before = snapshot(model)
    code, out, err = said("sample", model, *words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert line in err
    assert list(tmp_path.iterdir()) == []
    assert snapshot(model) == before


def test_a_run_of_other_files_is_no_place_to_train(said, tmp_path, snapshot):
    """Fails if a folder with other people's files is trained into."""
    (tmp_path / "thesis.doc").write_bytes(b"years of work")
    before = snapshot(tmp_path)
    code, _, err = said("train", "digits", "--to", tmp_path, "--set", "sampling.spacing=karras")
    assert code == 2
    assert "the folder holds other things (thesis.doc)" in err
    assert snapshot(tmp_path) == before
