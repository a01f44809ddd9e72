"""What happens to pictures out there, as functions with gradients: JPEG, half size, blur, tone."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from unmist.guard.mark_lattice import BLOCK, JPEG, dct

__all__ = ["halved", "jpeg", "rescaled", "resized", "sharpened", "toned"]


def jpeg(light: Tensor, quality: int) -> Tensor:
    """(b, h, w) luminance after JPEG (T.81; steps as in the reference library), gradients straight.

    quality: 1 … 100.
    """
    height, width = light.shape[-2:]
    fill = (0, -width % BLOCK, 0, -height % BLOCK)
    filled = functional.pad(light[:, None], fill, mode="replicate")[:, 0] - 128
    batch, rows, columns = len(filled), filled.shape[1] // BLOCK, filled.shape[2] // BLOCK
    parts = filled.reshape(batch, rows, BLOCK, columns, BLOCK).transpose(2, 3)
    waves = dct()
    share = 5000 / quality if quality < 50 else 200 - 2 * quality
    steps = ((torch.tensor(JPEG) * share + 50) / 100).floor().clamp(1, 255)
    scaled = waves @ parts @ waves.T / steps
    kept = scaled + (scaled.round() - scaled).detach()
    back = waves.T @ (kept * steps) @ waves
    whole = back.transpose(2, 3).reshape(batch, rows * BLOCK, columns * BLOCK) + 128
    return whole[:, :height, :width]


def halved(light: Tensor) -> Tensor:
    """(b, h, w) at half the size and back, bicubic."""
    height, width = light.shape[-2:]
    small = resized(light, (max(1, height // 2), max(1, width // 2)))
    return resized(small, (height, width))


def resized(light: Tensor, size: tuple[int, int]) -> Tensor:
    """(b, h, w) -> (b, *size), bicubic with antialiasing."""
    return functional.interpolate(light[:, None], size=size, mode="bicubic", antialias=True)[:, 0]


def rescaled(light: Tensor, scale: float) -> Tensor:
    """(b, h, w) -> (b, int(h*scale), int(w*scale)), bicubic, the corner staying where it is."""
    return functional.interpolate(
        light[:, None], scale_factor=scale, mode="bicubic", antialias=True
    )[:, 0]


def toned(light: Tensor, power: float) -> Tensor:
    """(b, h, w) of 0 … 255 along another curve: 255*(light/255)^power."""
    return light if power == 1 else 255 * (light / 255).clamp(min=0) ** power


def sharpened(light: Tensor, spread: float) -> Tensor:
    """Undo a Gaussian blur of this spread (pixels) in the low frequencies; (b, h, w).

    Frequencies above 0.4 a pixel, where the watermark has nothing, are let go.
    """
    if spread == 0:
        return light
    height, width = light.shape[-2:]
    rim = min(16, height - 1, width - 1)
    wide = functional.pad(light[:, None], (rim,) * 4, mode="reflect")[:, 0]
    down = torch.fft.fftfreq(wide.shape[-2])[:, None]
    across = torch.fft.rfftfreq(wide.shape[-1])[None]
    square = down**2 + across**2
    gain = 2 * math.pi**2 * spread**2 * square.clamp(max=0.09) - (square / 0.16) ** 2
    sharp = torch.fft.irfft2(torch.fft.rfft2(wide) * gain.exp(), s=wide.shape[-2:])
    return sharp[:, rim : rim + height, rim : rim + width]
