"""A small picture classifier, trained in seconds on the user's own labels."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, silu

from unmist.base.noise import keyed
from unmist.nn.blocks import convolution
from unmist.nn.seeded import seeded

__all__ = ["LESSONS", "Classifier", "Lessons", "train_classifier"]

WIDTHS = (16, 32, 64)
FEATURES = 64


class _Residual(nn.Module):
    """x + conv(silu(norm(conv(silu(norm(x)))))). Group norms: no statistics kept between rows."""

    def __init__(self, axes: int, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(width // 8, width) for _ in range(2))
        self.layers = nn.ModuleList(convolution(axes, (width, width), 3) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        hidden = x
        for norm, layer in zip(self.norms, self.layers, strict=True):
            hidden = layer(silu(norm(hidden)))
        return x + hidden


class Classifier(nn.Module):
    """uint8 pictures (b, c, *s), one to three axes, -> logits (b, classes).

    The last layer but one, `embed`, gives 64 numbers a picture. The stem's stride brings the
    longest axis to at most 16 places, two further levels halve it.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, *sizes = shape
        axes = len(sizes)
        stride = 2 ** max(0, math.ceil(math.log2(max(sizes) / 16)))
        self.register_buffer("mean", torch.zeros(channels, *[1] * axes))
        self.register_buffer("spread", torch.ones(channels, *[1] * axes))
        widths = (channels, *WIDTHS)
        self.levels = nn.ModuleList(
            nn.Sequential(
                convolution(axes, (width, wider), 2 * step + 1, step), _Residual(axes, wider)
            )
            for width, wider, step in zip(widths, WIDTHS, (stride, 2, 2), strict=False)
        )
        places = math.prod(math.ceil(math.ceil(math.ceil(n / stride) / 2) / 2) for n in sizes)
        self.norm = nn.GroupNorm(WIDTHS[-1] // 8, WIDTHS[-1])
        self.squeeze = nn.Linear(WIDTHS[-1] * places, FEATURES)
        self.head = nn.Linear(FEATURES, classes)
        if axes == 2:
            for part in self.parameters():  # a fifth faster on the CPU
                if part.ndim == 4:
                    part.data = part.data.to(memory_format=torch.channels_last)

    mean: Tensor
    spread: Tensor

    def depths(self, values: Tensor) -> list[Tensor]:
        """What each level sees of pictures in 0 … 255, the finest first: float32 (b, width, *s)."""
        hidden, found = (values.float() - self.mean) / self.spread, []
        for level in self.levels:
            hidden = level(hidden)
            found.append(hidden)
        return found

    def embed(self, values: Tensor) -> Tensor:
        """The features, float32 (b, 64)."""
        return self.squeeze(silu(self.norm(self.depths(values)[-1])).flatten(1))

    def forward(self, values: Tensor) -> Tensor:
        """Logits (b, classes)."""
        return self.head(silu(self.embed(values)))


@dataclass(frozen=True)
class Lessons:
    """How the classifier is taught: passes over the data, with random shifts of up to 1/`reach`.

    At most `most` pictures are seen in all, so that large sets take a minute too. The rate rises
    over the first tenth and falls to zero along a cosine.
    """

    passes: int = 6
    most: int = 60_000
    batch: int = 64
    rate: float = 2e-3
    decay: float = 1e-2
    smoothing: float = 0.1
    reach: int = 14


LESSONS = Lessons()


def train_classifier(
    values: np.ndarray, labels: np.ndarray, *, lessons: Lessons = LESSONS, seed: int = 0
) -> Classifier:
    """From uint8 values (n, c, *s) and labels 0 … k-1 (n,); a function of data, seed, threads."""
    with seeded(seed):
        net = Classifier(tuple(values.shape[1:]), int(labels.max()) + 1)
    _standardise(net, values)
    passes = max(1, min(lessons.passes, lessons.most // len(values)))
    each = math.ceil(min(len(values), lessons.most) / lessons.batch)
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=lessons.rate, weight_decay=lessons.decay, betas=(0.9, 0.99)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lessons.rate, total_steps=passes * each, pct_start=0.1, cycle_momentum=False
    )
    for turn in range(passes):
        draw = keyed(seed, "classifier lessons", turn)
        for rows in np.array_split(draw.permutation(len(values))[: lessons.most], each):
            batch = torch.from_numpy(_shifted(values[rows], draw, lessons.reach))
            loss = cross_entropy(
                net(batch), torch.from_numpy(labels[rows]), label_smoothing=lessons.smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.requires_grad_(False).eval()


def _standardise(net: Classifier, values: np.ndarray) -> None:
    """Mean 0 and spread 1 a channel, measured on a thousand rows; a constant channel is left."""
    some = torch.from_numpy(np.array(values[:1000])).transpose(0, 1).flatten(1).double()
    net.mean.copy_(some.mean(1).reshape(net.mean.shape))
    net.spread.copy_(some.std(1).clamp(min=1.0).reshape(net.mean.shape))


def _shifted(values: np.ndarray, draw: np.random.Generator, reach: int) -> np.ndarray:
    """Each row moved by up to 1/reach of each axis; the border is repeated."""
    sizes = values.shape[2:]
    most = [n // reach for n in sizes]
    edges = [(0, 0), (0, 0), *((m, m) for m in most)]
    wide = np.pad(values, edges, mode="edge")
    moved = np.empty_like(values)
    for row in range(len(values)):
        corner = [int(draw.integers(2 * m + 1)) for m in most]
        window = tuple(slice(c, c + n) for c, n in zip(corner, sizes, strict=True))
        moved[row] = wide[(row, slice(None), *window)]
    return moved
