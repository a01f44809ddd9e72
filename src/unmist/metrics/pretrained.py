"""Features of published picture encoders, DINOv2 and CLIP, read from a folder by transformers.

Stein et al. 2023 (2306.04675) find distances in DINOv2's class token nearest to what people see;
Jayasumana et al. 2024 (2401.09603) measure with CLIP's projected picture vectors. Pictures are
prepared here, as the folder's preprocessor_config.json says, since transformers' own processors
want torchvision. Only safetensors are read, no code of the folder is run, nothing is fetched.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.metrics.pictures import Filter, centred, coloured, digest_of, frozen, resized

__all__ = ["ENCODERS", "Preparation", "PretrainedFeatures", "load_pretrained", "preparation"]

PREPARATION = "preprocessor_config.json"
MOST = 1 << 20
FILTERS: dict[int, Filter] = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
Size = tuple[int, int]


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes an encoder's input: resized, cut to its middle, scaled.

    `size` is (height, width), or one number for the shorter side; `crop` (height, width) or None.
    """

    size: Size | int
    crop: Size | None
    mean: tuple[float, float, float]
    spread: tuple[float, float, float]
    filter: Filter = "bicubic"
    factor: float = 1 / 255

    def __call__(self, values: Tensor) -> Tensor:
        """uint8 (b, 3, h, w) -> float32 (b, 3, *size)."""
        x = resized(values, self._new(*values.shape[2:]), self.filter)
        if self.crop is not None:
            x = centred(x, self.crop)
        mean, spread = (torch.tensor(part).view(3, 1, 1) for part in (self.mean, self.spread))
        return (x.float() * self.factor - mean) / spread

    def _new(self, height: int, width: int) -> Size:
        if isinstance(self.size, tuple):
            return self.size
        short = min(height, width)
        return self.size * height // short, self.size * width // short


class _Sides(msgspec.Struct):
    shortest_edge: int | None = None
    height: int | None = None
    width: int | None = None


class _Written(msgspec.Struct):
    """What is read of preprocessor_config.json; older files hold a number where a table is now."""

    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    size: int | _Sides
    crop_size: int | _Sides = 0
    do_center_crop: bool = False
    resample: int = 3
    rescale_factor: float = 1 / 255


def preparation(folder: Path) -> Preparation:
    """As the folder's preprocessor_config.json says; BadInput without one that can be followed."""
    path = folder / PREPARATION
    table = files.parse_json(files.read_bytes(path, most=MOST, links=True), where=path)
    try:
        told = msgspec.convert(table, _Written)
        crop = _size(told.crop_size) if told.do_center_crop else None
        made = Preparation(
            size=_size(told.size),
            crop=(crop, crop) if isinstance(crop, int) else crop,
            mean=told.image_mean,
            spread=told.image_std,
            filter=FILTERS[told.resample],
            factor=told.rescale_factor,
        )
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise BadInput(f"says nothing that can be followed ({error})", where=path) from error
    _check(made, path)
    return made


def _size(told: int | _Sides) -> Size | int:
    if isinstance(told, int):
        return told
    if told.shortest_edge is not None:
        return told.shortest_edge
    if told.height is None or told.width is None:
        raise TypeError("a size of neither a shortest edge nor height and width")
    return told.height, told.width


def _check(made: Preparation, path: Path) -> None:
    """Sizes that exist, a cut that lies inside, spreads that can be divided by."""
    sides = made.size if isinstance(made.size, tuple) else (made.size, made.size)
    inner = made.crop or sides
    good = all(0 < cut <= side <= 4096 for cut, side in zip(inner, sides, strict=True))
    if not good or min(made.spread) <= 0:
        raise BadInput(f"{made} is no way to prepare a picture", where=path)


@dataclass(frozen=True, eq=False)
class PretrainedFeatures:
    """An encoder's vector of a picture; `kind` is "dino" or "clip"."""

    kind: str
    net: nn.Module
    width: int
    prepare: Preparation
    encode: Callable[[Any, Tensor], Tensor]
    name: str = field(init=False)

    def __post_init__(self) -> None:
        frozen(self.net)
        how = torch.tensor(list(repr(self.prepare).encode()), dtype=torch.uint8)
        digest = digest_of({**self.net.state_dict(), "prepared how": how})
        object.__setattr__(self, "name", f"{self.kind}-{digest[:8]}")

    @torch.no_grad()
    def __call__(self, values: Tensor) -> Tensor:
        """uint8 (b, 1 or 3, h, w) -> float32 (b, width)."""
        return self.encode(self.net, self.prepare(coloured(values, self.name)))


@dataclass(frozen=True)
class Encoder:
    """How a kind of encoder is asked: the part of the model that is kept, and its answer."""

    types: tuple[str, ...]
    width: Callable[[Any], int]
    part: Callable[[Any], nn.Module]
    encode: Callable[[Any, Tensor], Tensor]


ENCODERS = {
    "dino": Encoder(
        types=("dinov2", "dinov2_with_registers", "dinov3_vit"),
        width=lambda config: config.hidden_size,
        part=lambda net: net,
        encode=lambda net, x: net(pixel_values=x).last_hidden_state[:, 0],
    ),
    "clip": Encoder(
        types=("clip",),
        width=lambda config: config.projection_dim,
        part=lambda net: nn.ModuleDict({"see": net.vision_model, "tell": net.visual_projection}),
        encode=lambda net, x: net["tell"](net["see"](pixel_values=x).pooler_output),
    ),
}


def load_pretrained(kind: str, folder: Path) -> PretrainedFeatures:
    """The features of a folder in transformers' format: "dino" the class token, "clip" the
    projected vector. BadInput where it is of another kind, or any weight is missing.
    """
    if kind not in ENCODERS:
        raise BadInput(f"no encoder called '{kind}'", mend=did_you_mean(kind, list(ENCODERS)))
    encoder, prepare = ENCODERS[kind], preparation(folder)
    net, told = _loaded(encoder, folder)
    _check_whole(told, folder)
    return PretrainedFeatures(
        kind, encoder.part(net), encoder.width(net.config), prepare, encoder.encode
    )


def _loaded(encoder: Encoder, folder: Path) -> tuple[Any, Mapping[str, Any]]:
    try:
        import transformers  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        mend = "pip install 'unmist[features]'"
        raise BadInput("these features need transformers", where=folder, mend=mend) from error
    closed: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **closed)
        if config.model_type not in encoder.types:
            known = ", ".join(encoder.types)
            raise BadInput(
                f"holds a {config.model_type}", where=folder, mend=f"these are read: {known}"
            )
        return transformers.AutoModel.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **closed
        )
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        why = " ".join(str(error).split())[:160]
        raise BadInput(f"no encoder can be read ({why})", where=folder) from error


def _check_whole(told: Mapping[str, Any], folder: Path) -> None:
    """What a file lacks would otherwise be drawn at random, with a warning only."""
    for name in sorted(map(str, [*told["missing_keys"], *told["mismatched_keys"]])):
        raise BadInput(f"tensor '{name}' is missing or of another shape", where=folder)
