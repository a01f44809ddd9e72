"""Where a word is heard: cross-attention over a whole denoising, as pictures."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from unmist.base.faults import BadInput
from unmist.conditions.text import Text
from unmist.nn.attention import CrossAttention
from unmist.run.model import Model
from unmist.run.picture import as_image, save_picture
from unmist.workflows.plots import plotted
from unmist.workflows.sample import Shot, sample, settled
from unmist.workflows.wishes import own_wish, wished

__all__ = ["WordMaps", "save_word_maps", "word_maps"]

MOST = 16  # samples looked at


@dataclass(frozen=True, eq=False)
class WordMaps:
    """One sample: pixels uint8 (c, h, w), its words, and of each a map float32 (h, w).

    A map is the word's share of the attention that a place gives to words, by the mean over heads,
    layers and evaluations, times the number of words: 1 is an even share.
    """

    pixels: np.ndarray
    words: tuple[str, ...]
    maps: np.ndarray
    settings: dict[str, object]


def word_maps(model: Model, shot: Shot) -> list[WordMaps]:
    """The samples of a shot, each with its text's attention (as Tang et al. 2022, 2210.04885).

    Samples are drawn alone, without negative wish or weaker model. Raises BadInput where the model
    reads no text by cross-attention, or none is wished.
    """
    name, part = _text(model)
    if shot.count > MOST or len(model.shape) != 3:
        raise BadInput(f"up to {MOST} pictures are looked at", where="look", mend="ask for fewer")
    guide = replace(settled(model, shot).guide, negative={}, weaker=0.0)
    found = []
    for number in range(shot.first, shot.first + shot.count):
        told = own_wish(wished(model, shot.wish), number)
        if not told.get(name):
            raise BadInput("no words are wished", where="look", mend='say --prompt "..."')
        with _listening(model.net, model.shape[1:]) as heard:
            drawn = sample(model, replace(shot, first=number, count=1, guide=guide))
        words = part.pieces(told[name])
        maps = heard.mean()[1 : 1 + len(words)]
        even = maps / maps.sum(0, keepdim=True).clamp(min=1e-12) * len(words)
        settings = {**drawn.settings, "wish": told, "kind": "words"}
        found.append(WordMaps(drawn.pixels[0], tuple(words), even.numpy(), settings))
    return found


def _text(model: Model) -> tuple[str, Text]:
    """The model's first text, whose tokens stand before those of any other."""
    for name, part in model.recipe.conditions.items():
        if isinstance(part, Text):
            if not any(isinstance(one, CrossAttention) for one in model.net.modules()):
                mend = "train with network.attention=[1] or the like"
                raise BadInput("its network has no cross-attention", where="look", mend=mend)
            return name, part
    follows = ", ".join(model.recipe.conditions) or "nothing"
    raise BadInput(f"this model reads no text (it follows {follows})", where="look")


class Heard:
    """The sum of attention over all calls, (tokens, h, w)."""

    def __init__(self, size: tuple[int, ...]) -> None:
        self.size, self.total, self.count = size, torch.zeros(()), 0

    def add(self, weights: Tensor) -> None:
        """weights (b, places, tokens) of rows that are told something."""
        height, width = _grid(weights.shape[1], self.size)
        maps = weights.transpose(1, 2).unflatten(2, (height, width))
        wide = interpolate(maps, size=self.size, mode="bilinear", align_corners=False)
        self.total, self.count = self.total + wide.sum(0), self.count + len(weights)

    def mean(self) -> Tensor:
        """(tokens, h, w)."""
        assert self.count, "no row was told anything"
        return self.total / self.count


def _grid(places: int, size: tuple[int, ...]) -> tuple[int, int]:
    """The height and width of so many places, as nearly in the picture's proportions as can be."""
    pairs = [(n, places // n) for n in range(1, places + 1) if places % n == 0]
    return min(pairs, key=lambda pair: abs(np.log(pair[0] * size[1] / (pair[1] * size[0]))))


@contextmanager
def _listening(net: nn.Module, size: tuple[int, ...]) -> Iterator[Heard]:
    """Inside, every cross-attention's weights are added up; outside, nothing is left in the net."""
    heard = Heard(size)

    def listen(layer: nn.Module, given: tuple[Any, ...]) -> None:
        assert isinstance(layer, CrossAttention)
        x, tokens, mask = given
        rows = mask.any(1)
        if rows.any():
            heard.add(layer.weights(x[rows], tokens[rows], mask[rows]))

    layers = [layer for layer in net.modules() if isinstance(layer, CrossAttention)]
    handles = [layer.register_forward_pre_hook(listen) for layer in layers]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def save_word_maps(found: list[WordMaps], path: Path) -> Path:
    """A row a sample: the picture, then each word's map over it, bright where it is heard most.

    Raises CannotWrite.
    """
    from matplotlib.figure import Figure

    columns = 1 + max(len(one.words) for one in found)
    figure = Figure(figsize=(1.5 * columns, 1.8 * len(found)), dpi=110, layout="constrained")
    for axes, one in zip(figure.subplots(len(found), columns, squeeze=False), found, strict=True):
        for axis in axes:
            axis.set_axis_off()
        image = np.asarray(as_image(one.pixels).convert("RGB"))
        axes[0].imshow(image)
        for axis, word, heat in zip(axes[1:], one.words, one.maps, strict=False):
            axis.imshow(image.mean(-1), cmap="gray", vmin=0, vmax=255)
            axis.imshow(heat, cmap="inferno", alpha=0.65)
            axis.set_title(f"{word}\n{heat.min():.2f} … {heat.max():.2f}", fontsize=7)
    save_picture(path, plotted(figure), {**found[0].settings, "count": len(found)})
    return path
