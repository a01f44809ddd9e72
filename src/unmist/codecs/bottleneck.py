"""What holds the latents of an autoencoder together: a Gaussian near the normal, or a codebook."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from unmist.base.faults import BadInput
from unmist.base.kinds import Kinds

__all__ = ["Bottleneck", "Kl", "KlModule", "Narrow", "Vq", "VqModule", "bottlenecks"]


class Narrow(Protocol):
    """The module of a bottleneck, between what an encoder answers and what a decoder is given."""

    def drawn(self, raw: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """In training: raw (b, answers, *s), eps (b, k, *s) standard normal -> the decoder's
        (b, k, *s), and what it costs, summed over each row, (b,)."""
        ...

    def mean(self, raw: Tensor) -> Tensor:
        """The latents (b, k, *s) without any chance."""
        ...

    def given(self, latents: Tensor) -> Tensor:
        """Latents (b, k, *s) as the decoder wants them."""
        ...


class Bottleneck(Protocol):
    """Settings of a bottleneck."""

    def answers(self, channels: int) -> int:
        """Channels that the encoder gives for so many of the latents."""
        ...

    def build(self, channels: int) -> Narrow:
        """Its module."""
        ...


bottlenecks: Kinds[Bottleneck] = Kinds("bottleneck")


@bottlenecks("kl")
@dataclass(frozen=True, kw_only=True)
class Kl:
    """A Gaussian a place, drawn towards the normal: weight * KL(q || N(0, 1)) (1312.6114).

    With a weight as small as Rombach et al. 2022 (2112.10752, sec. 3.1) take it, it only keeps the
    latents from growing; the encoder's own spread stays far below that of the latents.
    """

    weight: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1000:
            raise BadInput(f"weight {self.weight}", where="codec.bottleneck", mend="0 … 1000")

    def answers(self, channels: int) -> int:
        """Means and log variances."""
        return 2 * channels

    def build(self, channels: int) -> "KlModule":
        """Nothing is learned here."""
        return KlModule(self.weight)


class KlModule(nn.Module):
    """Mean and log variance, the latter in -30 … 20."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def drawn(self, raw: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """mean + spread*eps, and weight * sum (mean^2 + variance - 1 - log variance)/2."""
        mean, log_variance = raw.chunk(2, 1)
        log_variance = log_variance.clamp(-30.0, 20.0)
        far = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance)
        return mean + (0.5 * log_variance).exp() * eps, self.weight * far.flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        """The Gaussian's mean."""
        return raw.chunk(2, 1)[0]

    def given(self, latents: Tensor) -> Tensor:
        """As they are."""
        return latents


@bottlenecks("vq")
@dataclass(frozen=True, kw_only=True)
class Vq:
    """The nearest of `codes` codes a place, straight through (1711.00937, eq. 3).

    The codes are a fixed normal cloud behind one learned layer (SimVQ, 2411.02038): they move
    together, so none is left behind unused. commit: the weight of the encoder's share of the
    distance. Latents are what stands before the nearest is taken, as in 2112.10752, sec. 3.1: the
    decoder begins with that.
    """

    codes: int = 1024
    commit: float = 0.25

    def __post_init__(self) -> None:
        if not 2 <= self.codes <= 1 << 20:
            raise BadInput(f"{self.codes} codes", where="codec.bottleneck", mend="2 … 1048576")
        if not 0 <= self.commit <= 1000:
            raise BadInput(f"commit {self.commit}", where="codec.bottleneck", mend="0 … 1000")

    def answers(self, channels: int) -> int:
        """The latents."""
        return channels

    def build(self, channels: int) -> "VqModule":
        """A codebook of `codes` entries."""
        return VqModule(self.codes, channels, self.commit)


class VqModule(nn.Module):
    """The cloud (codes, k), and the layer that makes codes of it; the cloud itself when new."""

    cloud: Tensor

    def __init__(self, codes: int, channels: int, commit: float) -> None:
        super().__init__()
        self.commit = commit
        self.register_buffer("cloud", nn.init.normal_(torch.empty(codes, channels)))
        self.turn = nn.Linear(channels, channels)
        with torch.no_grad():
            self.turn.weight.copy_(torch.eye(channels))
            self.turn.bias.zero_()

    def codes(self) -> Tensor:
        """(codes, k)."""
        return self.turn(self.cloud)

    def chosen(self, latents: Tensor) -> Tensor:
        """The number of the nearest code at each place of (b, k, *s): int64 (b, *s)."""
        flat = latents.detach().movedim(1, -1).flatten(0, -2)
        codes = self.codes().detach()
        near = (part @ codes.T for part in flat.split(1 << 14))
        half = codes.square().sum(1) / 2  # |z - c|^2 = |z|^2 + 2*(|c|^2/2 - z.c)
        best = torch.cat([(half - part).argmin(1) for part in near])
        return best.reshape(len(latents), *latents.shape[2:])

    def drawn(self, raw: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest codes, with the gradient of `raw`; the distance, for codes and encoder."""
        near = self.codes()[self.chosen(raw)].movedim(-1, 1)
        pulled = (near - raw.detach()) ** 2 + self.commit * (raw - near.detach()) ** 2
        return raw + (near - raw).detach(), pulled.flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        """As the encoder gave it."""
        return raw

    def given(self, latents: Tensor) -> Tensor:
        """The nearest codes."""
        return self.codes()[self.chosen(latents)].movedim(-1, 1)
