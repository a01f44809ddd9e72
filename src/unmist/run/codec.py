"""A taught codec in its folder, `codec/` of a run or another: settings, weights, its worth.

codec.toml          the settings, as in a recipe
codec.safetensors   the weights; their SHA-256 stands in the settings
codec.json          what it was taught on, and how well it gives held-out samples back
"""

from dataclasses import replace
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.codecs.autoencoder import Autoencoder
from unmist.codecs.bottleneck import Bottleneck, bottlenecks
from unmist.codecs.latent import Latent
from unmist.run.plain import from_plain, migrated, to_plain
from unmist.run.toml import read_toml, toml_text
from unmist.run.weights import frozen, write_weights

__all__ = ["CODEC", "codec_of", "keep_codec", "opened_codec", "read_codec", "worth_of"]

CODEC = Path("codec")
SETTINGS, WEIGHTS, WORTH = "codec.toml", "codec.safetensors", "codec.json"
FORMAT = 1


def keep_codec(folder: Path, codec: Latent, net: Autoencoder, worth: dict[str, object]) -> Latent:
    """Leave a taught codec in `folder`, its settings last; the codec with digest and weights."""
    with files.told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    digest = write_weights(folder / WEIGHTS, dict(net.state_dict()))
    kept = replace(codec, digest=digest, net=net.eval().requires_grad_(False))
    files.write_json(folder / WORTH, worth)
    # the unit of the latents belongs to the run and its data, not to the codec
    plain = to_plain(replace(kept, mean=(), spread=()), {Bottleneck: bottlenecks})
    files.write_text(folder / SETTINGS, toml_text({"format": FORMAT, **plain}))
    return kept


def read_codec(folder: Path) -> Latent | None:
    """The settings of the codec in a folder; None where there is none. Raises BadInput."""
    path = folder / SETTINGS
    if not path.is_file():
        return None
    table = migrated(read_toml(path), FORMAT, {}, path=str(path))
    codec = from_plain(table, Latent, {Bottleneck: bottlenecks}, str(path))
    if not codec.digest or not codec.shape or codec.pixels is None:
        raise BadInput("is no codec that was taught", where=path, mend="restore it from a copy")
    return codec


def opened_codec(codec: Latent, folder: Path) -> Latent:
    """The codec with its weights. BadInput where they are not those that its digest names."""
    path = folder / WEIGHTS
    if not path.is_file() or files.digest(path) != codec.digest:
        what = "are missing" if not path.is_file() else "are not those the model was made with"
        raise BadInput(f"the codec's weights {what}", where=path, mend="restore them from a copy")
    return replace(codec, net=frozen(codec.build(codec.shape, 0), path, "cpu"))


def codec_of(folder: Path) -> Latent:
    """The taught codec of a run, or of a folder of its own, its latents not measured yet.

    Raises BadInput where there is none.
    """
    for place in (folder, folder / CODEC):
        if (codec := read_codec(place)) is not None:
            return opened_codec(codec, place)
    mend = "give a run or its codec folder, or say kl or vq to teach one"
    raise BadInput("no taught codec is here", where=folder, mend=mend)


def worth_of(folder: Path) -> dict[str, object]:
    """What the codec in a folder was found to be worth; empty where nothing says."""
    path = folder / WORTH
    if not path.is_file():
        return {}
    told = files.parse_json(files.read_bytes(path, most=1 << 20), where=path)
    return dict(told) if isinstance(told, dict) else {}
