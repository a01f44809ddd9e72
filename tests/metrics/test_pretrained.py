"""Encoders in transformers' format; where it is not installed, only what needs no network."""

import json
import shutil
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from unmist.base.faults import BadInput
from unmist.metrics.pretrained import Preparation, load_pretrained, preparation

GIVEN = {
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.2, 0.3],
    "size": {"shortest_edge": 36},
    "do_center_crop": True,
    "crop_size": {"height": 32, "width": 28},
    "resample": 3,
}
MADE = Preparation(36, (32, 28), (0.5, 0.4, 0.3), (0.2, 0.2, 0.3))


def pictures(count=3, shape=(3, 40, 60), seed=0):
    values = np.random.default_rng(seed).integers(0, 256, (count, *shape))
    return torch.from_numpy(values.astype(np.uint8))


def folder_of(path, told=None):
    path.mkdir(exist_ok=True)
    (path / "preprocessor_config.json").write_text(json.dumps(told or GIVEN))
    return path


def test_pictures_are_prepared_as_pillow_would(tmp_path):
    """Fails if size, filter, cut or scale are not the folder's: at most two levels of 255."""
    prepare = preparation(folder_of(tmp_path / "x"))
    assert prepare == MADE
    values = pictures()
    scale = 255 * torch.tensor(MADE.spread).view(3, 1, 1)
    ours = prepare(values) * scale + 255 * torch.tensor(MADE.mean).view(3, 1, 1)
    for row, whole in zip(ours, values, strict=True):
        image = Image.fromarray(whole.permute(1, 2, 0).numpy()).resize((54, 36), Image.BICUBIC)
        theirs = torch.from_numpy(np.array(image.crop((13, 2, 41, 34)))).permute(2, 0, 1)
        assert float((row - theirs).abs().max()) < 2.01
        assert float((row - theirs).abs().mean()) < 0.1


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({"size": 36, "crop_size": 32}, Preparation(36, (32, 32), MADE.mean, MADE.spread)),
        (
            {"size": {"height": 30, "width": 20}, "do_center_crop": False, "resample": 2},
            Preparation((30, 20), None, MADE.mean, MADE.spread, "bilinear"),
        ),
    ],
)
def test_older_and_other_forms_are_read(tmp_path, change, made):
    """Fails if a number for a size, or a size without a cut, is not understood."""
    assert preparation(folder_of(tmp_path / "x", {**GIVEN, **change})) == made


@pytest.mark.parametrize(
    "change",
    [
        {"size": {"longest_edge": 9}},
        {"size": {"shortest_edge": 16}},
        {"resample": 1},
        {"image_std": [0, 1, 1]},
        {"image_mean": [0.5]},
        {"size": {"shortest_edge": 10**9}},
    ],
)
def test_preparations_that_cannot_be_followed_are_refused(tmp_path, change):
    """Fails if a cut outside the picture, a filter unknown or a division by zero is let in."""
    with pytest.raises(BadInput, match=r"preprocessor_config\.json|followed|prepare"):
        preparation(folder_of(tmp_path / "x", {**GIVEN, **change}))


def test_without_transformers_the_extra_is_named(tmp_path, monkeypatch):
    """Fails if a missing package ends in a traceback."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(BadInput, match="need transformers") as told:
        load_pretrained("dino", folder_of(tmp_path / "x"))
    assert "unmist[features]" in str(told.value)


def test_an_unknown_encoder_is_refused(tmp_path):
    """Fails if a mistyped kind goes on to read the folder."""
    with pytest.raises(BadInput) as told:
        load_pretrained("dyno", tmp_path)
    assert "did you mean 'dino'" in str(told.value)


SMALL = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """A tiny DINOv2 and a tiny CLIP as transformers saves them, and the models themselves."""
    with warnings.catch_warnings(action="ignore"):  # of transformers about itself
        transformers = pytest.importorskip("transformers")
        home = tmp_path_factory.mktemp("encoders")
        dino = transformers.Dinov2Model(
            transformers.Dinov2Config(**SMALL, image_size=28, patch_size=14)
        )
        vision = {**SMALL, "image_size": 32, "patch_size": 16}
        clip = transformers.CLIPModel(
            transformers.CLIPConfig(
                vision_config=vision, text_config={**SMALL, "vocab_size": 50}, projection_dim=12
            )
        )
        for name, net in (("dino", dino), ("clip", clip)):
            net.eval().save_pretrained(home / name)
            folder_of(home / name, {**GIVEN, "crop_size": {"height": 32, "width": 32}})
        folder_of(home / "dino", {**GIVEN, "crop_size": {"height": 28, "width": 28}})
    return home, dino, clip


def test_features_are_the_models_own(encoders):
    """Fails if another token or vector is taken, a weight is lost, or grey is not let in."""
    home, dino, clip = encoders
    values = pictures()
    ours = load_pretrained("dino", home / "dino")
    with torch.no_grad():
        theirs = dino(pixel_values=ours.prepare(values)).pooler_output
    torch.testing.assert_close(ours(values), theirs, rtol=0, atol=1e-5)
    ours = load_pretrained("clip", home / "clip")
    with torch.no_grad():
        seen = clip.vision_model(pixel_values=ours.prepare(values)).pooler_output
    torch.testing.assert_close(ours(values), clip.visual_projection(seen), rtol=0, atol=1e-5)
    assert (ours.width, ours(values).shape, ours(values).dtype) == (12, (3, 12), torch.float32)
    grey = values[:, :1]
    torch.testing.assert_close(ours(grey), ours(grey.repeat(1, 3, 1, 1)), rtol=0, atol=1e-5)


def test_names_tell_weights_and_preparations_apart(encoders, tmp_path):
    """Fails if two encoders that give different numbers share a name, or equal ones do not."""
    home = encoders[0]
    copy = shutil.copytree(home / "dino", tmp_path / "copy")
    name = load_pretrained("dino", home / "dino").name
    assert name.startswith("dino-")
    assert load_pretrained("dino", copy).name == name
    folder_of(copy, {**GIVEN, "resample": 2, "crop_size": 28})
    assert load_pretrained("dino", copy).name != name


def test_other_kinds_and_incomplete_folders_are_refused(encoders, tmp_path):
    """Fails if a weight that is missing is drawn at random, or a pickle is read."""
    home = encoders[0]
    with pytest.raises(BadInput, match="holds a clip"):
        load_pretrained("dino", home / "clip")
    copy = shutil.copytree(home / "dino", tmp_path / "copy")
    weights = load_file(copy / "model.safetensors")
    del weights["layernorm.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match="layernorm"):
        load_pretrained("dino", copy)
    (copy / "model.safetensors").unlink()
    torch.save(weights, copy / "pytorch_model.bin")
    with pytest.raises(BadInput, match="no encoder can be read"):
        load_pretrained("dino", copy)
