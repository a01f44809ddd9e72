"""An average of any width from a few stored ones, after training (2312.02696, section 3.2)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unmist.base.faults import BadInput
from unmist.training.ema import Average

__all__ = ["Mix", "Profile", "combined", "mixed", "product"]


@dataclass(frozen=True)
class Profile:
    """How an average weighs the weights of time tau: (g + 1)*tau^g/end^(g + 1) on [0, end].

    end: samples seen (or steps: only ratios matter); width: sigma_rel, which sets g. Exact for our
    update too: with keep = (1 - 1/step)^(g + 1) the step-th weights get the profile's integral over
    [step - 1, step].
    """

    end: float
    width: float

    @property
    def gamma(self) -> float:
        """The exponent."""
        return Average(self.width).gamma


@dataclass(frozen=True)
class Mix:
    """How much of each stored average; error: the part of the profile that is missed.

    error is the norm of the difference of profiles over the norm of the wanted one, in [0, 1].
    """

    shares: tuple[float, ...]
    error: float


def product(one: Profile, other: Profile) -> float:
    """The inner product of two profiles (2312.02696, appendix C, equation for p_i . p_j).

    (g + 1)(h + 1)*(s/t)^h/((g + h + 1)*t) where the first ends earlier, s <= t.
    """
    first, last = sorted((one, other), key=lambda profile: profile.end)
    g, h = first.gamma, last.gamma
    return (g + 1) * (h + 1) * (first.end / last.end) ** h / ((g + h + 1) * last.end)


def mixed(stored: Sequence[Profile], wanted: Profile, *, whole: bool = True) -> Mix:
    """The least-squares combination of stored profiles (2312.02696, appendix C, algorithm 3).

    whole: with shares that sum to 1, so that weights which never moved stay as they are; without,
    it is the paper's own, whose sum is off by 0.5 % at half the least stored width. A profile that
    is stored is taken as it is.
    """
    if not stored:
        raise BadInput("no averages are stored", where="average")
    if wanted in stored:
        return Mix(tuple(float(profile == wanted) for profile in stored), 0.0)
    gram = _table(stored, stored)
    aim = _table(stored, [wanted])
    if whole:
        ones = torch.ones(len(stored), 1, dtype=torch.float64)
        edge = torch.cat([ones.T, torch.zeros(1, 1, dtype=torch.float64)], 1)
        scale = gram.diagonal().mean()  # the constraint's row of the size of the others
        system = torch.cat([torch.cat([gram, ones * scale], 1), edge * scale])
        x = torch.linalg.solve(system, torch.cat([aim, ones[:1] * scale]))[:-1]
    else:
        x = torch.linalg.solve(gram, aim)
    norm = product(wanted, wanted)
    missed = norm - 2 * float((x * aim).sum()) + float((x.T @ gram @ x).squeeze())
    return Mix(tuple(x[:, 0].tolist()), (max(0.0, missed) / norm) ** 0.5)


def _table(rows: Sequence[Profile], columns: Sequence[Profile]) -> Tensor:
    values = [[product(row, column) for column in columns] for row in rows]
    return torch.tensor(values, dtype=torch.float64)


def combined(parts: Iterable[dict[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """The sum of named tensors times their shares, in float64; whole numbers as the last part has.

    The parts are taken one at a time: memory of two of them.
    """
    total: dict[str, Tensor] = {}
    kinds: dict[str, torch.dtype] = {}
    for part, share in zip(parts, shares, strict=True):
        kinds = {name: tensor.dtype for name, tensor in part.items()}
        for name, tensor in part.items():
            if not tensor.is_floating_point():
                total[name] = tensor
            elif share:
                known = total.get(name, torch.zeros(tensor.shape, dtype=torch.float64))
                total[name] = known + share * tensor.double()
    return {name: tensor.to(kinds[name]) for name, tensor in total.items()}
