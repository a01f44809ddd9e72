"""Checkpoints come back to the bit, and nothing damaged, hostile or foreign is taken for one."""

import json
import os
import pickle
import random
import shutil

import pytest
import safetensors.torch
import torch
from torch import nn

from unmist.base import files
from unmist.base.faults import BadInput, Diverged
from unmist.run import checkpoint, weights


def small():
    torch.manual_seed(0)
    net = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
    moments = {"step": torch.tensor(7), "half": torch.randn(3).to(torch.bfloat16)}
    return net, {"net": net.state_dict(), "optimizer": moments}, {"rate": 0.1, "big": 2**80}


def test_round_trip(tmp_path):
    """Fails if a value, dtype or number changes on the way, or channels-last cannot pass."""
    net, tensors, state = small()
    path = checkpoint.save(tmp_path, 4096, tensors, state)
    back, told = checkpoint.read(path)
    assert told == state
    for part, named in tensors.items():
        assert back[part].keys() == named.keys()
        for name, tensor in named.items():
            assert back[part][name].dtype == tensor.dtype
            assert back[part][name].equal(tensor)
    other = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
    weights.fill(other, back["net"], where=path)
    assert other.weight.equal(net.weight)
    assert other.weight.is_contiguous(memory_format=torch.channels_last)


def test_same_state_same_bytes(tmp_path):
    """Fails if the order of names or anything of the moment enters the files."""
    _, tensors, state = small()
    one = checkpoint.save(tmp_path / "one", 1, tensors, state)
    turned = {part: dict(reversed(named.items())) for part, named in reversed(tensors.items())}
    two = checkpoint.save(tmp_path / "two", 1, turned, dict(reversed(state.items())))
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()


def test_tied_weights(tmp_path):
    """Fails if tensors that share memory cannot be written or come back shared."""
    shared = torch.arange(6.0)
    tensors = {"net": {"a": shared, "b": shared, "part": shared[2:4]}}
    back, _ = checkpoint.read(checkpoint.save(tmp_path, 1, tensors, {}))
    assert back["net"]["part"].tolist() == [2, 3]
    back["net"]["a"].zero_()
    assert back["net"]["b"].equal(shared)


def test_other_libraries_read_them(tmp_path):
    """Fails if the weights are not plain safetensors."""
    _, tensors, state = small()
    path = checkpoint.save(tmp_path, 1, tensors, state)
    found = safetensors.torch.load_file(path / "net.safetensors")
    assert found["weight"].equal(tensors["net"]["weight"])


def test_keeps_two_and_drops_the_branch_left(tmp_path):
    """Fails if old ones pile up, the spare goes, or a branch rolled back stays the latest."""
    _, tensors, state = small()
    for seen in (10, 20, 30, 40):
        checkpoint.save(tmp_path, seen, tensors, state)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000030", "step-000000040"]
    checkpoint.save(tmp_path, 35, tensors, state)
    assert checkpoint.latest(tmp_path).seen == 35
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000030", "step-000000035"]


def test_latest_counts_and_never_looks_at_the_clock(tmp_path):
    """Fails if modification times or the order of names as text decide."""
    _, tensors, state = small()
    for seen in (999_999_999, 1_000_000_000):
        checkpoint.save(tmp_path, seen, tensors, state)
    os.utime(tmp_path / "step-1000000000", (0, 0))
    assert checkpoint.latest(tmp_path).seen == 1_000_000_000
    assert checkpoint.latest(tmp_path / "none") is None


def test_not_finite_never_reaches_the_disk(tmp_path):
    """Fails if NaN or infinity in weights or state can be saved."""
    for bad in (float("nan"), float("inf")):
        with pytest.raises(Diverged, match=r"'w' of net is not finite"):
            checkpoint.save(tmp_path, 1, {"net": {"w": torch.tensor([1.0, bad])}}, {})
        with pytest.raises(BadInput):
            checkpoint.save(tmp_path, 1, {}, {"loss": bad})
    assert list(tmp_path.iterdir()) == []


def test_each_of_500_flipped_bits_is_named(tmp_path):
    """Fails if one flipped bit, in any file, is taken for good or blamed on another file."""
    _, tensors, state = small()
    checkpoint.save(tmp_path, 100, tensors, state)
    newest = checkpoint.save(tmp_path, 200, tensors, state)
    rng = random.Random(3)
    paths = sorted(newest.iterdir())
    for trial in range(500):
        path = paths[trial % len(paths)]
        good = path.read_bytes()
        place = rng.randrange(len(good))
        bad = bytearray(good)
        bad[place] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        found = checkpoint.latest(tmp_path)
        path.write_bytes(good)
        assert found.seen == 100
        assert found.notices[0].startswith(f"step-000000200 passed over: {path.name} ")
    assert checkpoint.latest(tmp_path) == checkpoint.Found(newest, 200)


def test_all_broken_is_refused(tmp_path):
    """Fails if a run whose checkpoints are all damaged would silently start over."""
    _, tensors, state = small()
    (checkpoint.save(tmp_path, 5, tensors, state) / "state.json").write_text("{}")
    with pytest.raises(BadInput, match=r"no usable checkpoint .*state.json differs"):
        checkpoint.latest(tmp_path)


def reseal(path, change):
    """Alter a manifest and seal it again, as someone who knows the format could."""
    body = json.loads((path / "MANIFEST.json").read_text())
    del body["sha256"]
    change(body)
    (path / "MANIFEST.json").write_bytes(checkpoint._sealed(body))


def enlist(path, name, content):
    """Put a file there with a manifest that vouches for it."""
    (path / name).write_bytes(content)
    entry = {"size": len(content), "sha256": files.digest(content)}
    reseal(path, lambda body: body["files"].update({name: entry}))


def header(table, tail=b""):
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return len(text).to_bytes(8, "little") + text + tail


def entry(shape, start, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


class Canary:
    def __reduce__(self):
        return os.mkdir, ("hatched",)


NAN = torch.tensor(float("nan")).numpy().tobytes()
TWICE = b'{"a":%s,"a":%s}' % ((json.dumps(entry([1], 0, 4)).encode(),) * 2)
MANY = {f"t{i}": entry([0], 0, 0) for i in range(weights.MOST_TENSORS + 1)}
WEIGHTS = {
    "empty": (b"", "cut short"),
    "seven bytes": (b"1234567", "cut short"),
    "header past the end": ((1 << 40).to_bytes(8, "little") + b"{}", "cut short"),
    "header of 17 MiB": (header(b" " * (17 << 20)), "cut short"),
    "header no JSON": (header(b"{"), "not readable as JSON"),
    "header a list": (header([]), "no table"),
    "nested 100,000 deep": (header(b"[" * 100_000), "nested too deeply|no table|not readable"),
    "a name twice": (header(TWICE, bytes(4)), "a key stands there twice"),
    "path as a name": (header({"../../x": entry([1], 0, 4)}, bytes(4)), "no name for a tensor"),
    "absolute name": (header({"/etc/x": entry([1], 0, 4)}, bytes(4)), "no name for a tensor"),
    "line feed in a name": (header({"a\nb": entry([1], 0, 4)}, bytes(4)), "no name for a tensor"),
    "50,001 tensors": (header(MANY), "no table of up to 50000"),
    "NaN": (header({"a": entry([1], 0, 4)}, NAN), "'a' is not finite"),
    "NaN in JSON": (header(b'{"a":NaN}'), "NaN is no number"),
    "offsets past the end": (header({"a": entry([2], 0, 8)}, bytes(4)), "not readable"),
    "offsets backwards": (header({"a": entry([1], 4, 0)}, bytes(4)), "not readable"),
    "hole": (header({"a": entry([1], 4, 8)}, bytes(8)), "not readable"),
    "shape and size differ": (header({"a": entry([3], 0, 4)}, bytes(4)), "not readable"),
    "shape overflows": (header({"a": entry([2**62, 4], 0, 4)}, bytes(4)), "not readable"),
    "negative shape": (header({"a": entry([-1], 0, 4)}, bytes(4)), "not readable"),
    "unknown dtype": (header({"a": entry([1], 0, 4, "X9")}, bytes(4)), "not readable"),
    "bytes after the end": (header({"a": entry([1], 0, 4)}, bytes(9)), "not readable"),
    "a pickle": (pickle.dumps(Canary()), "cut short"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_hostile_weights(name, tmp_path, monkeypatch):
    """Fails if such a file loads, runs code, or ends in anything but one line naming it."""
    monkeypatch.chdir(tmp_path)
    content, words = WEIGHTS[name]
    path = checkpoint.save(tmp_path, 1, *small()[1:])
    enlist(path, "ema.safetensors", content)
    with pytest.raises(BadInput, match=words) as caught:
        checkpoint.read(path)
    assert caught.value.where.endswith("ema.safetensors")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(path))
    assert not (tmp_path / "hatched").exists()
    assert (path / "ema.safetensors").read_bytes() == content


def link(path, target):
    path.unlink()
    path.symlink_to(target)


def twice(path):
    text = (path / "MANIFEST.json").read_text().replace('"seen"', '"format": 1, "seen"')
    (path / "MANIFEST.json").write_text(text)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


TREES = {
    "file missing": (lambda p: (p / "net.safetensors").unlink(), "net.safetensors: is missing"),
    "file too many": (lambda p: (p / "x.safetensors").write_text(""), "x.safetensors: is not in"),
    "hidden file": (lambda p: (p / ".x").write_text(""), "x: is not in the manifest"),
    "manifest missing": (lambda p: (p / "MANIFEST.json").unlink(), "MANIFEST.json: No such file"),
    "manifest empty": (lambda p: (p / "MANIFEST.json").write_text(""), "JSON: not readable|json"),
    "manifest cut": (lambda p: os.truncate(p / "MANIFEST.json", 90), "not readable as JSON"),
    "manifest a list": (lambda p: (p / "MANIFEST.json").write_text("[]"), "holds no table"),
    "manifest UTF-16": (lambda p: (p / "MANIFEST.json").write_text("{}", "utf-16"), "not readable"),
    "a key twice": (twice, "a key stands there twice"),
    "future format": (lambda p: reseal(p, lambda b: b.update(format=2)), "is of format 2"),
    "format as text": (
        lambda p: reseal(p, lambda b: b.update(format="1")),
        "not as it was written",
    ),
    "other count": (lambda p: reseal(p, lambda b: b.update(seen=2)), "belongs to step 2, not 1"),
    "no count": (lambda p: reseal(p, lambda b: b.pop("seen")), "lacks its count"),
    "no state": (lambda p: reseal(p, lambda b: b["files"].pop("state.json")), "lacks its count"),
    "parent path": (lambda p: reseal(p, lambda b: b["files"].update({"../x.json": 1})), "no name"),
    "absolute path": (
        lambda p: reseal(p, lambda b: b["files"].update({"/etc/x.json": 1})),
        "no name",
    ),
    "other suffix": (lambda p: reseal(p, lambda b: b["files"].update({"x.pt": 1})), "no name"),
    "link to a file": (lambda p: link(p / "state.json", "/etc/passwd"), "symbolic link"),
    "link to nothing": (lambda p: link(p / "state.json", "nothing"), "symbolic link"),
    "manifest a link": (lambda p: link(p / "MANIFEST.json", "/dev/zero"), "symbolic link"),
    "named pipe": (lambda p: pipe(p / "state.json"), "not a regular file"),
    "folder for a file": (lambda p: folder(p / "state.json"), "irectory|not a regular file"),
    "state a list": (lambda p: enlist(p, "state.json", b"[]"), "holds no table"),
    "state with NaN": (lambda p: enlist(p, "state.json", b'{"a":NaN}'), "NaN is no number"),
    "state cut": (lambda p: os.truncate(p / "state.json", 3), "state.json: differs"),
}


@pytest.mark.parametrize("name", TREES)
def test_hostile_folders(name, tmp_path):
    """Fails if a folder that is not exactly what was written is read, followed or fallen over."""
    change, words = TREES[name]
    path = checkpoint.save(tmp_path, 1, *small()[1:])
    change(path)
    with pytest.raises(BadInput, match=words) as caught:
        checkpoint.read(path)
    assert "\n" not in str(caught.value)


def test_a_link_is_no_checkpoint(tmp_path):
    """Fails if a link of the right name leads the search out of the run's folder."""
    path = checkpoint.save(tmp_path / "elsewhere", 9, *small()[1:])
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / path.name).symlink_to(path)
    assert checkpoint.latest(tmp_path / "state") is None


def test_sweep_deletes_links_not_their_targets(tmp_path):
    """Fails if clearing up follows a link."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / ".tmp-1").symlink_to(tmp_path / "precious")
    checkpoint.sweep(tmp_path / "state")
    assert (tmp_path / "precious" / "file").exists()
    assert list((tmp_path / "state").iterdir()) == []


MODULES = {
    "shape": (
        {"weight": torch.zeros(2, 4)},
        r"'weight' is \(2, 4\) float32, .* wants \(2, 3\) float32",
    ),
    "dtype": ({"weight": torch.zeros(2, 3).double()}, r"'weight' is \(2, 3\) float64"),
    "missing": ({}, "'weight' is missing"),
    "extra": ({"weight": torch.zeros(2, 3), "more": torch.zeros(1)}, "'more' has no place"),
}


@pytest.mark.parametrize("name", MODULES)
def test_weights_of_another_network(name):
    """Fails if a tensor that does not fit is skipped, cast or not named, or the net is touched."""
    net = nn.Linear(3, 2, bias=False)
    before = net.weight.clone()
    tensors, words = MODULES[name]
    with pytest.raises(BadInput, match=words):
        weights.fill(net, tensors, where="a file")
    assert net.weight.equal(before)


def test_one_weights_file(tmp_path):
    """Fails if the digest is not that of the file, or the values change."""
    values = {"w": torch.randn(3, 4)}
    told = weights.write_weights(tmp_path / "ema.safetensors", values)
    assert told == files.digest(tmp_path / "ema.safetensors")
    assert weights.load_weights(tmp_path / "ema.safetensors")["w"].equal(values["w"])
    shutil.copy(tmp_path / "ema.safetensors", tmp_path / "copy")
