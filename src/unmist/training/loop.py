"""The training step, resumable to the bit: everything random is keyed by samples seen (slide 4)."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from unmist.base.noise import Noise, keyed
from unmist.core.condition import Cond, Tokens
from unmist.core.level import Level
from unmist.core.objective import Lesson
from unmist.training.augment import Augment
from unmist.training.ema import Average
from unmist.training.guard import Guard, Health
from unmist.training.optimizer import AdamW, clipped
from unmist.training.order import Order, even_draws, flips, rising

__all__ = ["Batches", "Learner", "Schooling", "Stats"]


@dataclass(frozen=True, kw_only=True)
class Schooling:
    """How long and in what portions.

    samples: length of the run in samples seen (rounded up to whole batches); batch: samples an
    update; micro: samples a network call, summed in order (0: the whole batch); seed: of
    everything random; flip: mirror half of the samples left to right; drop: the share of rows
    that lose a condition; shorten: the share of rows whose text loses a random part of its words,
    so that what learned from long captions follows one word too (only with encoder "small").
    """

    samples: int = 200_000
    batch: int = 32
    micro: int = 0
    seed: int = 0
    flip: bool = False
    drop: float = 0.1
    shorten: float = 0.0


@dataclass(frozen=True)
class Stats:
    """One update: samples seen after it, mean loss, gradient norm, rate; skipped = not applied."""

    seen: int
    loss: float
    grad_norm: float
    rate: float
    skipped: bool


@dataclass(frozen=True, eq=False)
class Batches:
    """Where samples come from: a table of raw rows, and how they enter model space.

    fetch(rows (n,) int64) -> (x0 (n, c, *s) float32, their conditions or None).
    """

    count: int
    fetch: Callable[[np.ndarray], tuple[Tensor, Cond | None]]


@dataclass
class Learner:
    """The state of a run: all that changes. `advance` does one update.

    rolling: the share of clips whose frames have a level each; `health` follows the loss and
    gradients; `slower` multiplies the learning rate (halved by each
    roll-back).
    """

    net: nn.Module
    objective: Lesson
    optimizer: AdamW
    average: Average
    schooling: Schooling
    batches: Batches
    guard: Guard = field(default_factory=Guard)
    augment: Augment = field(default_factory=Augment)
    rolling: float = 0.0
    slower: float = 1.0
    seen: int = 0
    health: Health = field(default_factory=Health)

    def __post_init__(self) -> None:
        self.ema = self.average.start(self.net)
        self.torch_optimizer = self.optimizer.build(self.net)

    @property
    def done(self) -> bool:
        """Whether the run has seen all its samples."""
        return self.seen >= self.schooling.samples

    def advance(self) -> Stats:
        """One batch: loss, gradient, and, unless either is not finite, the update."""
        batch, rate = self.schooling.batch, self._rate()
        loss = self._gradients()
        norm = clipped(self.net.parameters(), self.optimizer.clip)
        finite = bool(np.isfinite(loss) and np.isfinite(norm))
        self.seen += batch
        if finite:
            for group in self.torch_optimizer.param_groups:
                group["lr"] = rate
            self.torch_optimizer.step()
            self.average.update(self.ema, self.net, self.seen // batch)
        self.torch_optimizer.zero_grad(set_to_none=True)
        self.health = self.guard(self.health, loss, norm)
        return Stats(self.seen, loss, norm, rate, not finite)

    def _rate(self) -> float:
        progress = (self.seen + self.schooling.batch) / self.schooling.samples
        return self.slower * self.optimizer.rate_at(min(progress, 1.0))

    def _gradients(self) -> float:
        """Sum the micro-batches' gradients in a fixed order; the mean loss of the batch."""
        plan, first = self.schooling, self.seen
        rows = Order(plan.seed, self.batches.count).rows(first, plan.batch)
        x0, cond = self.batches.fetch(rows)
        if plan.flip:
            which = flips(plan.seed, first, plan.batch)
            x0, cond = mirrored(x0, which), turned(cond, which)
        cond = thinned(shortened(cond, plan, first), plan, first)
        x0, cond = self.augment(x0, cond, plan.seed, first)
        eps = Noise(plan.seed, "training", tuple(range(first, first + plan.batch)))(x0, 0)
        level = self._levels(first, x0)
        size, total = plan.micro or plan.batch, 0.0
        for start in range(0, plan.batch, size):
            part = slice(start, start + size)
            index = torch.arange(plan.batch)[part]
            given = cond.rows(index.to(x0.device)) if cond is not None else None
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(int(keyed(plan.seed, "dropout", first, start).integers(2**31)))
                loss = self.objective(self.net, x0[part], eps[part], level[part], given)
                (loss.sum() / plan.batch).backward()
            total += float(loss.detach().double().sum())
        return total / plan.batch

    def _levels(self, first: int, x0: Tensor) -> Level:
        """(b,), or (b, 1, frames) where frames have their own: x0 is then (b, c, frames, *s)."""
        seed, batch = self.schooling.seed, self.schooling.batch
        u = even_draws(seed, first, batch)
        if self.rolling == 0:
            return self.objective.levels(u)
        shape = (batch, 1, x0.shape[2])
        level = self.objective.levels(rising(u, seed, first, shape[2], self.rolling).flatten())
        return Level(level.alpha.view(shape), level.sigma.view(shape))

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All tensors of the state, by file and name."""
        return {
            "net": dict(self.net.state_dict()),
            "ema": dict(self.ema.state_dict()),
            "optimizer": _moments(self.torch_optimizer),
        }

    def state(self) -> dict[str, object]:
        """The rest of the state, as plain numbers."""
        return {"seen": self.seen, "health": self.health.plain()}

    def restore(self, tensors: dict[str, dict[str, Tensor]], state: dict[str, object]) -> None:
        """Back to what `tensors` and `state` gave."""
        self.net.load_state_dict(tensors["net"])
        self.ema.load_state_dict(tensors["ema"])
        self.torch_optimizer = self.optimizer.build(self.net)
        _set_moments(self.torch_optimizer, tensors["optimizer"])
        self.seen, self.health = int(str(state["seen"])), Health.from_plain(state["health"])


def mirrored(x0: Tensor, which: Tensor) -> Tensor:
    """x0 with the chosen rows flipped along the last axis."""
    chosen = which.to(x0.device).reshape(-1, *[1] * (x0.ndim - 1))
    return torch.where(chosen, x0.flip(-1), x0)


def turned(cond: Cond | None, which: Tensor) -> Cond | None:
    """The conditions with the pictures among them flipped as their rows are."""
    if cond is None:
        return None
    values = {
        name: mirrored(value, which) if isinstance(value, Tensor) and value.ndim > 2 else value
        for name, value in cond.values.items()
    }
    return replace(cond, values=values)


def thinned(cond: Cond | None, plan: Schooling, first: int) -> Cond | None:
    """Each condition dropped, by itself, in a share of the rows."""
    if cond is None or plan.drop == 0:
        return cond
    keep = {}
    for name in cond.values:
        draw = keyed(plan.seed, f"drop {name}", first).random(plan.batch)
        keep[name] = cond.kept(name) & torch.from_numpy(draw >= plan.drop).to(
            cond.kept(name).device
        )
    return replace(cond, keep=keep)


def shortened(cond: Cond | None, plan: Schooling, first: int) -> Cond | None:
    """In a share of the rows, one to all of a text's words, any of them, in their order."""
    if cond is None or plan.shorten == 0:
        return cond
    values = dict(cond.values)
    for name, value in values.items():
        if isinstance(value, Tokens) and not value.values.is_floating_point():  # numbers of words
            draw = keyed(plan.seed, f"shorten {name}", first)
            which, share = draw.random(plan.batch) < plan.shorten, draw.random(plan.batch)
            order = torch.from_numpy(draw.random(value.mask.shape)).to(value.mask.device)
            counts = value.mask.sum(1)
            left = 1 + (torch.from_numpy(share).to(counts.device) * counts).floor().long()
            left = torch.where(torch.from_numpy(which).to(counts.device), left, counts)
            rank = order.masked_fill(~value.mask, 2.0).argsort(1).argsort(1)
            kept = value.mask & (rank < left[:, None])
            place = (~kept).long().argsort(dim=1, stable=True)  # what is kept moves to the front
            numbers = value.values.gather(1, place[..., None].expand_as(value.values))
            mask = kept.gather(1, place)
            values[name] = Tokens(numbers.masked_fill(~mask[..., None], 0), mask)
    return replace(cond, values=values)


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's state as a flat table of tensors: "12.exp_avg"."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, part in state.items() for name, value in part.items()}


def _set_moments(optimizer: torch.optim.Optimizer, flat: dict[str, Tensor]) -> None:
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
