"""Other libraries' training, for comparison: diffusers' recipe as documented and tuned, and
denoising-diffusion-pytorch's defaults.

Each is driven through its own public parts (network, loss or scheduler, average, sampler). Only the
data loader is replaced, by rows in memory, and the flips of both recipes are left out: they would
teach mirrored digits. Both favour the peers.

    pip install diffusers einops accelerate
    pip install --no-deps denoising-diffusion-pytorch ema-pytorch   # their metadata asks for more
"""

import math
import os
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DIFFUSERS_VERBOSITY"] = "error"

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, pad

from unmist.base.noise import keyed

__all__ = ["PEERS", "Kind", "Peer"]

SAMPLE_BATCH = 125


class Trained(Protocol):
    """What the loop needs of a peer: a loss, an average, samples of the average."""

    net: nn.Module
    optimizer: torch.optim.Optimizer

    def loss(self, values: Tensor) -> Tensor: ...
    def average(self) -> None: ...
    def stored(self) -> dict[str, Tensor]: ...
    def restore(self, stored: dict[str, Tensor]) -> None: ...
    def sample(self, count: int, steps: int) -> Tensor: ...


@dataclass(frozen=True)
class Kind:
    """A peer: how it is built, its batch, its rate by (step, share of the budget), its sampler."""

    about: str
    make: Callable[[tuple[int, ...]], Trained]
    batch: int
    rate: Callable[[int, float], float]
    sampler: str


class Diffusers:
    """train_unconditional.py of diffusers' examples: eps, linear betas, AdamW, EMA of power 3/4.

    Its layout (two layers a block, attention in the last level but one) for pictures of 32 px:
    four levels rather than six, so that the smallest is 4 px as at 128 px in the original.
    """

    def __init__(self, shape, widths, *, tuned):
        from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel
        from diffusers.training_utils import EMAModel

        channels, *_, size = shape
        self.size, self.inner, self.channels = size, 32, channels
        levels = len(widths)
        down = ["DownBlock2D"] * levels
        down[-2] = "AttnDownBlock2D"
        self.net = UNet2DModel(
            sample_size=self.inner,
            in_channels=channels,
            out_channels=channels,
            layers_per_block=2,
            block_out_channels=widths,
            down_block_types=tuple(down),
            up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(down)),
        )
        if tuned:
            self.net.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(
            self.net.parameters(), betas=(0.9 if tuned else 0.95, 0.99 if tuned else 0.999),
            weight_decay=1e-6,
        )  # fmt: skip
        self.ema = EMAModel(
            self.net.parameters(),
            decay=0.995 if tuned else 0.9999,
            use_ema_warmup=True,
            power=0.75,
            foreach=True,
        )
        self.noising = DDPMScheduler(num_train_timesteps=1000)
        if tuned:
            self.solver = DPMSolverMultistepScheduler.from_config(
                self.noising.config, use_karras_sigmas=True
            )
        else:
            self.solver = DDIMScheduler.from_config(self.noising.config)

    def loss(self, values):
        x = pad(values * 2 - 1, [(self.inner - self.size) // 2] * 4, value=-1.0)
        noise, times = torch.randn_like(x), torch.randint(0, 1000, (len(x),))
        return mse_loss(self.net(self.noising.add_noise(x, noise, times), times).sample, noise)

    def average(self):
        self.ema.step(self.net.parameters())

    def stored(self):
        shadow = {f"{i}": p for i, p in enumerate(self.ema.shadow_params)}
        return {**shadow, "step": torch.tensor(self.ema.optimization_step)}

    def restore(self, stored):
        self.ema.optimization_step = int(stored.pop("step"))
        for i, shadow in enumerate(self.ema.shadow_params):
            shadow.copy_(stored[f"{i}"])

    def sample(self, count, steps):
        self.ema.store(self.net.parameters())
        self.ema.copy_to(self.net.parameters())
        self.net.eval()
        x = torch.randn(count, self.channels, self.inner, self.inner)
        self.solver.set_timesteps(steps)
        for time in self.solver.timesteps:
            x = self.solver.step(self.net(x, time).sample, time, x).prev_sample
        self.net.train()
        self.ema.restore(self.net.parameters())
        edge = (self.inner - self.size) // 2
        return (x[:, :, edge : edge + self.size, edge : edge + self.size] + 1) / 2


class Ddp:
    """denoising-diffusion-pytorch: its Unet, GaussianDiffusion and Trainer's defaults.

    v-prediction, sigmoid betas, Adam (0.9, 0.99) at 1e-4, batch 16, EMA 0.995 every tenth step.
    """

    def __init__(self, shape, dim, mults):
        library = _library()
        channels, *_, size = shape
        self.size, self.channels = size, channels
        self.inner = math.ceil(size / 2 ** (len(mults) - 1)) * 2 ** (len(mults) - 1)
        unet = library.Unet(dim=dim, dim_mults=mults, channels=channels)
        self.net = library.GaussianDiffusion(unet, image_size=self.inner, sampling_timesteps=50)
        self.optimizer = torch.optim.Adam(self.net.parameters(), betas=(0.9, 0.99))
        self.ema = library.denoising_diffusion_pytorch.EMA(self.net, beta=0.995, update_every=10)

    def loss(self, values):
        return self.net(pad(values, [(self.inner - self.size) // 2] * 4))

    def average(self):
        self.ema.update()

    def stored(self):
        return {
            name: value
            for name, value in self.ema.state_dict().items()
            if not name.startswith("online_model")
        }

    def restore(self, stored):
        self.ema.load_state_dict(stored, strict=False)

    def sample(self, count, steps):
        averaged = self.ema.ema_model.eval()
        averaged.sampling_timesteps = steps
        edge = (self.inner - self.size) // 2
        x = averaged.sample(batch_size=count).clone()
        return x[:, :, edge : edge + self.size, edge : edge + self.size]


def _library():
    """denoising-diffusion-pytorch, with a stand-in for the torchvision that it imports for its
    data loader; taken away again, as other libraries probe for it."""
    import diffusers  # noqa: F401 - before the stand-in is there

    parts = ("torchvision", "torchvision.transforms", "torchvision.utils")
    for part in parts:
        sys.modules[part] = types.ModuleType(part)
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]
    sys.modules["torchvision"].utils = sys.modules["torchvision.utils"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import denoising_diffusion_pytorch as library
    except ImportError as error:
        sys.exit(f"{error}: see the head of benchmarks/peers_training.py for what to install")
    finally:
        for part in parts:
            del sys.modules[part]
    library.denoising_diffusion_pytorch.tqdm = lambda steps, **_: steps
    return library


def documented(step, share):
    """Cosine over 100 passes with 500 steps of warm-up, as the documented command sets it."""
    del share
    whole = 100 * math.ceil(4500 / 16)
    if step < 500:
        return 1e-4 * step / 500
    return 1e-4 * 0.5 * (1 + math.cos(math.pi * (step - 500) / (whole - 500)))


def tuned(step, share):
    """1e-3 after a hundred steps, falling to zero along a cosine over the second half."""
    return 1e-3 * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * max(0, 2 * share - 1)))


def constant(step, share):
    del step, share
    return 1e-4


# a quarter of the documented widths; as many parameters as our default network (4.3 M); the
# narrowest that its group norms of 32 take
WIDTHS, EQUAL, NARROW = (32, 32, 64, 128), (32, 64, 64, 128), (32, 32, 64)

PEERS = {
    "diffusers": Kind(
        "diffusers, documented recipe",
        lambda shape: Diffusers(shape, WIDTHS, tuned=False), 16, documented, "DDIM",
    ),
    "tuned": Kind(
        "diffusers, tuned by us",
        lambda shape: Diffusers(shape, WIDTHS, tuned=True), 64, tuned, "DPM-Solver++ 2M",
    ),
    "equal": Kind(
        "diffusers, tuned by us, at our number of parameters",
        lambda shape: Diffusers(shape, EQUAL, tuned=True), 64, tuned, "DPM-Solver++ 2M",
    ),
    "ddp": Kind(
        "denoising-diffusion-pytorch, defaults",
        lambda shape: Ddp(shape, 64, (1, 2, 4, 8)), 16, constant, "DDIM",
    ),
    "ddp-small": Kind(
        "denoising-diffusion-pytorch, defaults, dim 32 for this picture size",
        lambda shape: Ddp(shape, 32, (1, 2, 4)), 16, constant, "DDIM",
    ),
    "ddp-tuned": Kind(
        "denoising-diffusion-pytorch, dim 32, rate tuned by us",
        lambda shape: Ddp(shape, 32, (1, 2, 4)), 16, tuned, "DDIM",
    ),
    "narrow": Kind(
        "diffusers, tuned by us, three levels 32/32/64",
        lambda shape: Diffusers(shape, NARROW, tuned=True), 32, tuned, "DPM-Solver++ 2M",
    ),
}  # fmt: skip


class Peer:
    """A peer in training: everything random is keyed by its step, so a run can stop anywhere."""

    def __init__(self, name, values, seed):
        self.kind, self.values, self.seed = PEERS[name], values, seed
        self.about, self.purpose = self.kind.about, f"peer {name}"
        torch.manual_seed(int(keyed(seed, self.purpose).integers(2**32)))
        self.trained = self.kind.make(values.shape[1:])
        self.step = 0

    @property
    def seen(self):
        return self.step * self.kind.batch

    @property
    def parameters(self):
        return sum(p.numel() for p in self.trained.net.parameters())

    def advance(self, share):
        """One step; `share` is how much of the budget is used. False would mean: no more to do."""
        draw = keyed(self.seed, self.purpose, 1, self.step)
        torch.manual_seed(int(draw.integers(2**32)))
        rows = np.sort(draw.integers(len(self.values), size=self.kind.batch))
        for group in self.trained.optimizer.param_groups:
            group["lr"] = self.kind.rate(self.step, share)
        self.trained.loss(torch.from_numpy(self.values[rows]).float() / 255).backward()
        nn.utils.clip_grad_norm_(self.trained.net.parameters(), 1.0)
        self.trained.optimizer.step()
        self.trained.optimizer.zero_grad()
        self.trained.average()
        self.step += 1
        return True

    @torch.no_grad()
    def sample(self, count, seed, steps):
        """uint8 (count, c, *s) from the averaged weights."""
        parts = []
        for start in range(0, count, SAMPLE_BATCH):
            torch.manual_seed(int(keyed(seed, "peer samples", start).integers(2**32)))
            parts.append(self.trained.sample(min(SAMPLE_BATCH, count - start), steps))
        return (torch.cat(parts).clamp(0, 1) * 255).round().to(torch.uint8).numpy()

    def tensors(self):
        """All state as named tensors."""
        memory = self.trained.optimizer.state_dict()["state"]
        return {
            "step": torch.tensor(self.step),
            **{f"net:{n}": t for n, t in self.trained.net.state_dict().items()},
            **{f"average:{n}": t for n, t in self.trained.stored().items()},
            **{f"memory:{i}:{n}": t for i, own in memory.items() for n, t in own.items()},
        }

    def restore(self, tensors):
        """The reverse of `tensors`."""
        self.step = int(tensors["step"])
        self.trained.net.load_state_dict(_part(tensors, "net:"))
        self.trained.restore(_part(tensors, "average:"))
        memory = {}
        for name, tensor in _part(tensors, "memory:").items():
            row, _, field = name.partition(":")
            memory.setdefault(int(row), {})[field] = tensor
        whole = self.trained.optimizer.state_dict()
        self.trained.optimizer.load_state_dict({**whole, "state": memory})


def _part(tensors, head):
    return {n.removeprefix(head): t for n, t in tensors.items() if n.startswith(head)}
