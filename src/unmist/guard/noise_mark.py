"""A mark in the noise that sampling starts from: pictures keep their law, and can be recognised.

Gaussian Shading (2404.04956) with one place a sign: the first draw keeps its magnitudes, and its
signs come from a secret stream that is keyed and never used twice, so what one picture starts from
is still exactly N(0, 1) to everybody without the key, and no two pictures share signs. Who has the
key, the model and a list of numbers under which pictures were made goes the way back from the
picture (DDIM inversion, 2010.02502) and counts signs.

It takes a deterministic plan (eta = 0, no churn or Langevin moves): noise that is added on the way
hides the start. What few steps or a student draw ends far from the way back, and is seldom found.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import shake_256
from itertools import islice
from math import log10

import numpy as np
import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.base.noise import Noise
from unmist.core.condition import Cond
from unmist.core.default import default_solver
from unmist.core.denoiser import Denoiser
from unmist.core.level import Level
from unmist.core.plan import ascend
from unmist.core.solver import Solver
from unmist.core.walk import final, walk
from unmist.guard.mark_odds import Odds, sign_tail

__all__ = ["MarkedNoise", "Nonce", "detect_noise", "marked_noise", "noise_of"]

Nonce = tuple[int, int]  # a run's number and a sample's, each in [0, 2^64)
TOGETHER = 4096


@dataclass(frozen=True)
class MarkedNoise:
    """A `Noise` whose move 0, the start of a trace, has the signs of a key and a nonce a row.

    Every other move is the noise's own. Row i is a function of the noise's row, the key and
    nonces[i], whatever is drawn with it.
    """

    noise: Noise
    key: bytes
    nonces: tuple[Nonce, ...]

    def __call__(self, x: Tensor, move: int) -> Tensor:
        """Noise of the shape, dtype and device of x (b, c, *s); b must be len(nonces)."""
        drawn = self.noise(x, move)
        if move:
            return drawn
        signs = secret_signs(self.key, self.nonces, x[0].numel()).reshape(x.shape)
        return drawn.abs() * signs.to(drawn)

    def select(self, ids: tuple[int, ...]) -> "MarkedNoise":
        """The same streams for some of its rows, by their ids."""
        kept = dict(zip(self.noise.ids, self.nonces, strict=True))
        nonces = tuple(kept[sample] for sample in ids)
        return replace(self, noise=self.noise.select(ids), nonces=nonces)


def marked_noise(noise: Noise, key: bytes, nonce: int | None = None) -> MarkedNoise:
    """The noise, marked: row i under the nonce (nonce, ids[i]).

    nonce: a number not used before with this key for these ids; None for the noise's seed, which
    is enough where seed and id name a picture. Raises BadInput for an empty key.
    """
    run = noise.seed if nonce is None else nonce
    if not 0 <= run < 2**64:
        raise BadInput(f"nonce {run} is outside 0 … 2^64-1", where="noise mark")
    if not key:
        raise BadInput("the key is empty", where="noise mark", mend="give some secret bytes")
    return MarkedNoise(noise, key, tuple((run, sample) for sample in noise.ids))


def secret_signs(key: bytes, nonces: tuple[Nonce, ...], count: int) -> Tensor:
    """(len(nonces), count) of -1 and 1, float32: SHAKE-256 of the key and each nonce."""
    head = b"unmist noise mark 1\0" + len(key).to_bytes(8, "little") + key
    stream = bytearray()
    for run, sample in nonces:
        own = run.to_bytes(8, "little") + sample.to_bytes(8, "little")
        stream += shake_256(head + own).digest(-(-count // 8))
    octets = np.frombuffer(bytes(stream), np.uint8).reshape(len(nonces), -1)
    return torch.from_numpy(np.unpackbits(octets, axis=1)[:, :count].astype(np.float32)) * 2 - 1


def noise_of(
    denoise: Denoiser,
    x0: Tensor,
    levels: Level,
    *,
    solver: Solver | None = None,
    cond: Cond | None = None,
) -> Tensor:
    """What pictures x0 (b, c, *s), encoded, started from: up through levels (n,), noisiest first.

    As the model's own plan has them; more levels find more. Signs and order of magnitude are right,
    nothing else is promised. Raises BadInput for a stochastic solver.
    """
    solver = solver or default_solver()
    if solver.stochastic:
        what, mend = "there is no way back through noise", "take a deterministic solver"
        raise BadInput(what, where="noise mark", mend=mend)
    unused = Noise(0, "inversion", tuple(range(len(x0))))
    return final(walk(denoise, x0, ascend(levels), solver, unused, cond)).x


def detect_noise(start: Tensor, key: bytes, nonces: Iterable[Nonce]) -> tuple[Odds, Nonce]:
    """The odds that one picture's start (c, *s), found by `noise_of`, was marked, and its nonce.

    The statistic is the sum of magnitudes with the key's signs, which has a known law for any start
    (Rademacher); the odds count every nonce that is tried, so a list should not be longer than need
    be. Raises BadInput where there is none, or where the start is not finite.
    """
    found = start.detach().double().flatten().cpu()
    if not bool(torch.isfinite(found).all()):
        raise BadInput("the way back left the numbers", where="noise mark", mend="take more levels")
    weights, tried, best = found.float(), 0, (-float("inf"), (0, 0))
    waiting = iter(nonces)
    while some := tuple(islice(waiting, TOGETHER)):
        sums = secret_signs(key, some, len(weights)) @ weights
        place = int(sums.argmax())
        best = max(best, (float(sums[place]), some[place]))
        tried += len(some)
    if not tried:
        raise BadInput("no nonces to try", where="noise mark", mend="give the ledger's, or a range")
    total, nonce = best
    log10_p = min(0.0, sign_tail(total, found.abs()) + log10(tried))
    agreement = total / max(float(found.abs().sum()), 1e-12)
    how = f"nonce {nonce[0]}, {nonce[1]}"
    return Odds(log10_p, agreement, len(found), tried, how), nonce
