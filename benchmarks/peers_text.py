"""Text-to-image by diffusers' parts, for comparison: captions, time and machine are ours.

`UNet2DConditionModel` with cross-attention at the coarsest level and in the middle (twice as fast
as at two levels), a CLIP text model of two layers that learns with it (no trained one is to be had
offline; words are its vocabulary), eps and linear betas, captions dropped in a tenth of the rows,
and the recipe that `time_to_quality.py` calls tuned: AdamW 1e-3, a cosine over the second half, an
average of 0.995, DPM-Solver++ 2M on Karras levels. Guidance as its pipelines do it: two halves in
one batch.
"""

import os
import time

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DIFFUSERS_VERBOSITY"] = "error"

import torch
from torch import nn
from torch.nn.functional import mse_loss

from peers_training import tuned
from unmist.base.noise import keyed

__all__ = ["TextPeer"]

BATCH, LONGEST, DROP = 64, 16, 0.1


class TextPeer(nn.Module):
    """The peer, and its state: everything random is keyed by its step."""

    about = "diffusers UNet2DConditionModel, tuned by us"

    def __init__(self, captions, widths=(32, 64, 96), seed=0):
        from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
        from diffusers.training_utils import EMAModel
        from transformers import CLIPTextConfig, CLIPTextModel

        super().__init__()
        torch.manual_seed(int(keyed(seed, "text peer").integers(2**32)))
        self.words = {
            w: i + 2 for i, w in enumerate(sorted(set(" ".join(captions).replace(",", "").split())))
        }
        self.text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(self.words) + 2, hidden_size=128, intermediate_size=256,
                num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=LONGEST,
                bos_token_id=0, eos_token_id=1, pad_token_id=0,
            )
        )  # fmt: skip
        levels = len(widths)
        self.net = UNet2DConditionModel(
            sample_size=32, in_channels=3, out_channels=3, layers_per_block=1,
            block_out_channels=widths, cross_attention_dim=128, attention_head_dim=4,
            norm_num_groups=16,
            down_block_types=("DownBlock2D",) * (levels - 1) + ("CrossAttnDownBlock2D",),
            up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * (levels - 1),
        ).to(memory_format=torch.channels_last)  # fmt: skip
        self.optimizer = torch.optim.AdamW(self.parameters(), betas=(0.9, 0.99), weight_decay=1e-6)
        self.ema = EMAModel(
            self.parameters(), decay=0.995, use_ema_warmup=True, power=0.75, foreach=True
        )
        self.noising = DDPMScheduler(num_train_timesteps=1000)
        self.solver = DPMSolverMultistepScheduler.from_config(
            self.noising.config, use_karras_sigmas=True
        )
        self.seed, self.step, self.seconds = seed, 0, 0.0

    @property
    def parameter_count(self):
        return sum(p.numel() for p in self.parameters())

    def tokens(self, captions):
        """Word numbers (b, 16), the end after the last, padded with zeros."""
        rows = torch.zeros(len(captions), LONGEST, dtype=torch.int64)
        for row, text in zip(rows, captions, strict=True):
            numbers = [self.words[w] for w in text.replace(",", "").split() if w in self.words][
                : LONGEST - 1
            ]
            row[: len(numbers) + 1] = torch.tensor([*numbers, 1])
        return rows

    def learn(self, values, captions, seconds, until):
        """Train on to `until`, of `seconds` of processor time in all."""
        while self.seconds < until:
            start = time.process_time()
            draw = keyed(self.seed, "text peer", 1, self.step)
            torch.manual_seed(int(draw.integers(2**32)))
            rows = draw.integers(len(values), size=BATCH)
            texts = ["" if draw.uniform() < DROP else captions[i] for i in rows]
            for group in self.optimizer.param_groups:
                group["lr"] = tuned(self.step, self.seconds / seconds)
            x = torch.from_numpy(values[rows]).float() / 127.5 - 1
            noise, times = torch.randn_like(x), torch.randint(0, 1000, (BATCH,))
            told = self.text(self.tokens(texts)).last_hidden_state
            mse_loss(self.net(self.noising.add_noise(x, noise, times), times, told).sample,
                     noise).backward()  # fmt: skip
            nn.utils.clip_grad_norm_(self.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.ema.step(self.parameters())
            self.step += 1
            self.seconds += time.process_time() - start

    @torch.no_grad()
    def draw(self, captions, scale, steps, seed=0):
        """uint8 (n, 3, 32, 32) from the average."""
        self.ema.store(self.parameters())
        self.ema.copy_to(self.parameters())
        self.eval()
        parts = [
            self._drawn(captions[i : i + 50], scale, steps, seed + i)
            for i in range(0, len(captions), 50)
        ]
        self.train()
        self.ema.restore(self.parameters())
        pixels = (torch.cat(parts) + 1) * 127.5
        return pixels.clamp(0, 255).round().to(torch.uint8).numpy()

    def _drawn(self, captions, scale, steps, seed):
        torch.manual_seed(seed)
        both = self.tokens([*[""] * len(captions), *captions])
        told = self.text(both if scale != 1 else both[len(captions) :]).last_hidden_state
        self.solver.set_timesteps(steps)
        x = torch.randn(len(captions), 3, 32, 32) * self.solver.init_noise_sigma
        for at in self.solver.timesteps:
            if scale == 1:
                eps = self.net(x, at, told).sample
            else:
                none, with_text = self.net(torch.cat((x, x)), at, told).sample.chunk(2)
                eps = none + scale * (with_text - none)
            x = self.solver.step(eps, at, x).prev_sample
        return x

    def tensors(self):
        """All state as named tensors."""
        memory = self.optimizer.state_dict()["state"]
        clock = {"step": self.step, "seconds": self.seconds, "ema": self.ema.optimization_step}
        return {
            **{
                f"clock:{name}": torch.tensor(float(value)).double()
                for name, value in clock.items()
            },
            **{f"net:{name}": value for name, value in self.state_dict().items()},
            **{f"average:{i}": value for i, value in enumerate(self.ema.shadow_params)},
            **{f"memory:{i}:{name}": t for i, own in memory.items() for name, t in own.items()},
        }

    def restore(self, tensors):
        """The reverse of `tensors`."""
        parts = {}
        for name, value in tensors.items():
            head, _, rest = name.partition(":")
            parts.setdefault(head, {})[rest] = value
        self.load_state_dict(parts["net"])
        self.step, self.seconds = int(parts["clock"]["step"]), float(parts["clock"]["seconds"])
        self.ema.optimization_step = int(parts["clock"]["ema"])
        for i, shadow in enumerate(self.ema.shadow_params):
            shadow.copy_(parts["average"][f"{i}"])
        memory = {}
        for name, value in parts.get("memory", {}).items():
            row, _, field = name.partition(":")
            memory.setdefault(int(row), {})[field] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": memory})
