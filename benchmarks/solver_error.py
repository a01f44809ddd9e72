"""solver_error: how far from the exact solution a few calls of the denoiser end.

The probability-flow ODE of Gaussian mixtures (2 and 64 dimensions, one fixed mixture each) under
four processes, from the same start to its end: root mean square of x0 minus that of a fine run
(2,000 steps, whose own error, against 1,000 steps, is printed). Ours is `unmist.core.default`: one
solver and one spacing for all processes, chosen on other mixtures (--tuning 500, 700, 900, 1100)
than are measured here. Peers: every deterministic diffusers scheduler in all its spacings
(`peer_schedulers`), at the same number of calls, or one fewer where it can only do odd ones. `best
single` is the setting that serves every process with the least geometric mean of errors; the best
for each process is shown beside it.

What the root mean square hides: near a watershed between two modes a row may end at the other one,
and one such row outweighs all others. With 512 and 128 rows some cells were left to one row's luck;
there are 2,048 and 256. A first run, on the mixtures 20260 and 20261, had a worst cell of 1.8; the
default was then chosen anew on the tuning mixtures, and the mixtures measured here are new as well.

    python benchmarks/solver_error.py [--quick] [--json] [--tuning N]
"""

import argparse
import json
import logging
import math
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import diffusers
import torch
from torch import Tensor

from peer_schedulers import KINDS, Peer, endpoint, peers
from unmist.base.noise import Noise
from unmist.core.adams import Adams
from unmist.core.default import default_solver, default_spacing
from unmist.core.exact import Mixture
from unmist.core.level import Level
from unmist.core.plan import Plan, Step, descend
from unmist.core.schedule import Schedule
from unmist.core.schedules import Exploding, Flow
from unmist.core.table import Table
from unmist.core.walk import final, walk

CALLS = (5, 8, 10, 15, 20, 50)
SEEDS = {2: 41, 64: 42}
ROWS = {2: 2048, 64: 256}
SCHEDULES: dict[str, Schedule] = {
    "linear": Table("linear"),
    "cosine": Table("cosine"),
    "edm": Exploding(),
    "flow": Flow(),
}
QUICK = ("DPM++2M midpoint |", "UniPC2 bh2", "UniPC3 bh2", "DEIS3")


class Cell(NamedTuple):
    """One measurement's place."""

    kind: str
    dimensions: int
    calls: int


def mixture(dimensions: int, seed: int) -> Mixture:
    """Overlapping parts of uneven weight, of spread 1 over all; not centred in each dimension.

    In 64 dimensions the spectra fall by a power law from about 0.5 to 0.04, as pictures' do.
    """
    draw = torch.Generator().manual_seed(seed)
    parts = 4 + int(torch.randint(5, (), generator=draw))
    few = dimensions < 8
    low, high = (0.12, 0.6) if few else (0.04, 0.5)
    weights = torch.rand(parts, generator=draw, dtype=torch.float64) + 0.3
    weights /= weights.sum()
    means = torch.randn(parts, dimensions, generator=draw, dtype=torch.float64)
    place = torch.arange(1, dimensions + 1, dtype=torch.float64)
    if not few:
        means = means * place**-0.5
    covs = []
    for _ in range(parts):
        turn, _ = torch.linalg.qr(
            torch.randn(dimensions, dimensions, generator=draw, dtype=torch.float64)
        )
        falling = high * place ** (-math.log(high / low) / math.log(dimensions))
        uneven = low * (high / low) ** torch.rand(dimensions, generator=draw, dtype=torch.float64)
        covs.append(turn @ torch.diag((uneven if few else falling) ** 2) @ turn.T)
    centre = (weights[:, None] * means).sum(0)
    inner = torch.stack(covs).diagonal(dim1=1, dim2=2).mean(1)
    spread = (weights * (inner + ((means - centre) ** 2).mean(1))).sum().rsqrt()
    return Mixture(weights, (means - centre.mean()) * spread, torch.stack(covs) * spread**2)


def fine(exact: Mixture, noise: Tensor, top: Level, steps: int) -> Tensor:
    """The solution from `top`: third order, levels at r = (q/(1 - q))^2, denser than any other."""
    start = 1.0 if top.is_noise else float(1 / (1 + top.ratio**-0.5))
    quantile = start * (1 - torch.arange(1, steps, dtype=torch.float64) / steps)
    ratio = (quantile / (1 - quantile)) ** 2
    unit = torch.hypot(ratio, torch.ones(()))
    plan = Plan(top, descend(Level(1 / unit, ratio / unit)).moves)
    first = Step(Level(1 / unit[0], ratio[0] / unit[0]))
    plan = Plan(top, (first, *plan.moves))
    return final(walk(exact, at_top(noise, top), plan, Adams(3), still(noise))).x


def still(noise: Tensor) -> Noise:
    """A plan of steps draws nothing."""
    return Noise(0, "unused", tuple(range(len(noise))))


def at_top(noise: Tensor, top: Level) -> Tensor:
    """The marginal of unit-variance data, as sampling starts."""
    return noise * torch.hypot(top.alpha, top.sigma)


def ours(exact: Mixture, kind: str, noise: Tensor, calls: int) -> Tensor:
    """The default, as `sample` runs it."""
    plan = descend(default_spacing()(SCHEDULES[kind], calls))
    last = final(walk(exact, at_top(noise, plan.start), plan, default_solver(), still(noise)))
    assert last.calls == calls
    return last.x


class Column(NamedTuple):
    """Everything measured for one process in one number of dimensions."""

    own: dict[Cell, float]
    table: dict[str, dict[Cell, float]]
    doubt: float


class Task(NamedTuple):
    """What a worker is told."""

    kind: str
    dimensions: int
    seed: int
    quick: bool

    def calls(self) -> tuple[int, ...]:
        """The lengths."""
        return (5, 10, 20) if self.quick else CALLS

    def chosen(self) -> list[Peer]:
        """The peers that serve this process."""
        some = [peer for peer in peers() if self.kind in peer.made]
        if not self.quick:
            return some
        return [peer for peer in some if peer.name.startswith(QUICK) and "shift 3" not in peer.name]


def column(task: Task) -> Column:
    """Exact solution, ours, every peer; settings that are the same scheduler here are run once."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    diffusers.utils.logging.set_verbosity_error()
    exact, d = mixture(task.dimensions, task.seed), task.dimensions
    rows = ROWS[d] // (4 if task.quick else 1)
    noise = Noise(task.seed, "start", tuple(range(rows)))(torch.zeros(rows, d).double(), 0)
    top, steps = SCHEDULES[task.kind].top, 500 if task.quick else 2000
    truth, rough = (fine(exact, noise, top, n) for n in (steps, steps // 2))

    def error(found: Tensor | None) -> float:
        value = math.inf if found is None else float((found - truth).pow(2).mean().sqrt())
        return value if math.isfinite(value) else math.inf

    own, table, known = {}, {}, {}
    for calls in task.calls():
        cell = Cell(task.kind, d, calls)
        own[cell] = error(ours(exact, task.kind, noise, calls))
        for peer in task.chosen():
            key = f"{peer.made[task.kind]} {calls}"
            if key not in known:
                known[key] = error(endpoint(peer, task.kind, exact, noise, calls))
            table.setdefault(peer.name, {})[cell] = known[key]
    return Column(own, table, float((truth - rough).pow(2).mean().sqrt()))


def geometric(values: list[float]) -> float:
    """inf if any is."""
    return math.exp(sum(math.log(max(value, 1e-300)) for value in values) / len(values))


def best(table: dict[str, dict[Cell, float]], cells: list[Cell]) -> str:
    """The peer of least geometric mean over `cells`, of those that serve them all."""
    serving = [name for name, row in table.items() if all(cell in row for cell in cells)]
    return min(serving, key=lambda name: geometric([table[name][cell] for cell in cells]))


def measured(tasks: list[Task]) -> Column:
    """All columns, on as many processes as there are cores."""
    own, table, doubt = {}, {}, 0.0
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for found in pool.map(column, tasks):
            own |= found.own
            doubt = max(doubt, found.doubt)
            for name, row in found.table.items():
                table.setdefault(name, {}).update(row)
    return Column(own, table, doubt)


def report(own: dict[Cell, float], table: dict[str, dict[Cell, float]]) -> dict[str, object]:
    """Prints the table; returns the claim's figures."""
    cells = list(own)
    single = best(table, cells)
    by_kind = {k: best(table, [c for c in cells if c.kind == k]) for k in KINDS}
    print(f"best single setting of {len(table)}: {single}")
    for kind, name in by_kind.items():
        print(f"best for {kind}: {name}")
    print(f"{'cell':>16} {'ours':>9} {'single':>9} {'ratio':>6} {'for kind':>9} {'ratio':>6} least")
    ratios, strict = {}, {}
    for cell in cells:
        one, kin = table[single][cell], table[by_kind[cell.kind]][cell]
        ratios[cell], strict[cell] = own[cell] / one, own[cell] / kin
        least = min((row[cell], name) for name, row in table.items() if cell in row)
        where = f"{cell.kind} {cell.dimensions} @{cell.calls}"
        print(
            f"{where:>16} {own[cell]:9.2e} {one:9.2e} {ratios[cell]:6.2f} {kin:9.2e} "
            f"{strict[cell]:6.2f} {least[0]:.2e} {least[1]}"
        )
    return {
        "single": single,
        "ratio": geometric(list(ratios.values())),
        "worst": max(ratios.values()),
        "worst cell": str(max(ratios, key=lambda cell: ratios[cell])),
        "ratio to best per process": geometric(list(strict.values())),
        "worst to best per process": max(strict.values()),
    }


def claims(found: dict[str, object]) -> list[dict[str, object]]:
    """One line a claim."""
    ratio, worst = float(str(found["ratio"])), float(str(found["worst"]))
    return [
        {
            "claim": "solver_error: geometric mean of errors against the best diffusers setting",
            "value": ratio,
            "target": 0.9,
            "meets": ratio <= 0.9,
            **{key: value for key, value in found.items() if key not in ("ratio", "worst")},
        },
        {
            "claim": "solver_error: worst cell against the best diffusers setting",
            "value": worst,
            "target": 1.25,
            "meets": worst <= 1.25,
        },
    ]


def main() -> None:
    """Run, print the table, end with the claims."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="part of the peers, three lengths")
    parser.add_argument("--json", action="store_true", help="claims as JSON lines")
    parser.add_argument("--tuning", type=int, default=0, help="other mixtures, as used for tuning")
    asked = parser.parse_args()
    began = time.monotonic()
    seeds = {d: asked.tuning + d for d in SEEDS} if asked.tuning else SEEDS
    found = measured([Task(k, d, seed, asked.quick) for d, seed in seeds.items() for k in KINDS])
    print(f"exact solutions known to {found.doubt:.1e}")
    for claim in claims(report(found.own, found.table)):
        print(json.dumps(claim) if asked.json else claim)
    print(f"took {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
