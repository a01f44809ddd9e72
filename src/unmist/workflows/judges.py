"""Which features judge, by a few words.

`classifier` (taught on the data's own labels or clusters), `inception[:FILE]`, `dino:FOLDER`,
`clip:FOLDER` (or OWNER/NAME of the hub, once fetched), `opennsfw[:FILE]`. Nothing is fetched here.
"""

from collections.abc import Callable
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.data.dataset import DataSet
from unmist.metrics.features import (
    ClassifierFeatures,
    Features,
    learn_features,
    restore_features,
)
from unmist.metrics.inception_net import InceptionFeatures, InceptionNet
from unmist.metrics.nsfw import NSFW_FILE, NsfwFeatures, nsfw_features
from unmist.metrics.pictures import check_pictures, digest_of
from unmist.metrics.pretrained import PretrainedFeatures, load_pretrained
from unmist.run.weights import fill, load_weights, unpacked, write_weights
from unmist.workflows.fetch import INCEPTION_FILE, features_home, snapshot

__all__ = ["JUDGES", "judge_of", "judged"]

SOURCE, CONTENT = "source_sha256", "tensors_sha256"
MOST = 1 << 28


def judge_of(spec: str, data: DataSet, keep: Path | None = None) -> Features:
    """The features that `spec` names, for pictures such as those of `data`. Raises BadInput.

    keep: a folder in which the classifier is taught once and read from there afterwards.
    """
    kind, _, place = spec.partition(":")
    if kind not in JUDGES:
        raise BadInput(f"no features called '{kind}'", mend=did_you_mean(kind, list(JUDGES)))
    if kind != "classifier":
        check_pictures(data.shape, kind)
        return NAMED[kind](place)
    if place:
        raise BadInput("is taught on the data, not read", where=spec, mend="say 'classifier'")
    return judged(data, keep)


def judged(data: DataSet, keep: Path | None = None) -> ClassifierFeatures:
    """A classifier's features, taught on the data's labels, or on clusters where it has none.

    With `keep` (a folder) it is taught once and read from there afterwards.
    """
    path = keep / f"judge_{data.fingerprint[:16]}.safetensors" if keep else None
    if path is not None and path.is_file():
        return restore_features(load_weights(path), data.shape)
    labels = data.labels[data.train] if data.labels is not None else None
    features = learn_features(data.values[data.train], labels)
    if path is not None:
        write_weights(path, features.tensors())
    return features


def _inception(place: str) -> InceptionFeatures:
    """From a file of scripts/convert_inception.py; "inception" if its source was the published."""
    path = _file(place, INCEPTION_FILE, "inception")
    content = files.read_bytes(path, most=MOST, links=True)
    tensors = unpacked(content, path)
    net = InceptionNet()
    fill(net, tensors, where=path)
    told = _told(content, path)
    if SOURCE in told and told.get(CONTENT) != digest_of(tensors):
        raise BadInput("was altered after it was converted", where=path, mend="convert it again")
    return InceptionFeatures(net, told.get(SOURCE, ""))


def _told(content: bytes, path: Path) -> dict[str, str]:
    """The texts beside the tensors of a safetensors file that was read already."""
    header = files.parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")], where=path)
    told = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    return {str(key): str(value) for key, value in told.items()}


def _nsfw(place: str) -> NsfwFeatures:
    path = _file(place, NSFW_FILE, "opennsfw")
    return nsfw_features(files.read_bytes(path, most=MOST, links=True), path)


def _file(place: str, usual: str, kind: str) -> Path:
    path = Path(place).expanduser() if place else features_home() / usual
    if not path.is_file():
        mend = f"get it by: unmist fetch {kind}, or name it: {kind}:FILE"
        raise BadInput("no such file", where=path, mend=mend)
    return path


def _encoder(kind: str, place: str) -> PretrainedFeatures:
    folder = Path(place).expanduser()
    if not place:
        raise BadInput(f"which {kind}?", mend=f"{kind}:FOLDER, or {kind}:OWNER/NAME of the hub")
    return load_pretrained(kind, folder if folder.is_dir() else snapshot(place, fetch=False))


def _dino(place: str) -> PretrainedFeatures:
    return _encoder("dino", place)


def _clip(place: str) -> PretrainedFeatures:
    return _encoder("clip", place)


NAMED: dict[str, Callable[[str], Features]] = {
    "inception": _inception,
    "dino": _dino,
    "clip": _clip,
    "opennsfw": _nsfw,
}
JUDGES = ("classifier", *NAMED)
