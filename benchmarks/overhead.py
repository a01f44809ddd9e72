"""Time outside the network in sampling, and what `import unmist` and `unmist --help` cost.

One walk of the default network at 32x32x3, batch 8, 20 calls: the share of its time spent outside
the network (noise, coefficients, solver), for our default and for the ancestral plan; diffusers'
DDIM and DDPM loops on the same network beside them, taken in turn. Target: at most 1 %. Models and
schedulers are made once and have walked once before, as where more than one batch is sampled; that
first walk, which works out what the later ones keep, is a line of its own.
`import unmist` against `import torch`, and `unmist --help`, as whole processes, taken in turn.
CPU only.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch

from unmist.base.noise import Noise
from unmist.core.condition import Signals, Sockets
from unmist.core.default import default_solver, default_spacing
from unmist.core.denoiser import NetDenoiser
from unmist.core.plan import ancestral, descend
from unmist.core.prediction import Edm, Eps, TableIndex
from unmist.core.schedules import Exploding
from unmist.core.solver import Euler
from unmist.core.table import Table
from unmist.core.walk import final, started, walk
from unmist.networks.unet import UNet

ROWS, CALLS = 8, 20


class Timed:
    """A network that knows how long it was at work."""

    def __init__(self):
        self.net = UNet().build((3, 32, 32), Sockets()).eval()
        self.spent = 0.0

    def __call__(self, x, clock, cond):
        start = time.perf_counter()
        output = self.net(x, clock, Signals())
        self.spent += time.perf_counter() - start
        return output


def ours(net, stochastic):
    """A walk of our own, to be taken as often as wanted."""
    table, noise = Table(), Noise(0, "overhead", tuple(range(ROWS)))
    denoise = NetDenoiser(net, Eps(TableIndex(table)) if stochastic else Edm())

    def run():
        if stochastic:
            levels = table.levels[torch.arange(CALLS).flip(0) * (1000 // CALLS)]
            plan, solver = ancestral(descend(levels)), Euler()
        else:
            plan, solver = descend(default_spacing()(Exploding(0.01), CALLS)), default_solver()
        like = torch.zeros(ROWS, 3, 32, 32)
        final(walk(denoise, started(like, plan, noise), plan, solver, noise))

    return run


def theirs(net, stochastic):
    """The same of theirs."""
    from diffusers import DDIMScheduler, DDPMScheduler

    scheduler = (DDPMScheduler if stochastic else DDIMScheduler)(clip_sample=False)

    def run():
        scheduler.set_timesteps(CALLS)
        x = torch.randn(ROWS, 3, 32, 32)
        with torch.no_grad():
            for t in scheduler.timesteps:
                x = scheduler.step(net(x, t.expand(ROWS).float(), None), t, x).prev_sample

    return run


def outside(run, net):
    net.spent, start = 0.0, time.perf_counter()
    run()
    whole = time.perf_counter() - start
    return (whole - net.spent) / whole


def process(code):
    start = time.perf_counter()
    subprocess.run(code, check=True, capture_output=True)
    return time.perf_counter() - start


def spread(values):
    return {
        "value": round(statistics.median(values), 5),
        "min": round(min(values), 5),
        "max": round(max(values), 5),
    }


def walks(times):
    torch.set_num_threads(2)
    net, kinds = Timed(), {"deterministic": False, "stochastic": True}
    runs = {
        (name, kind): make(net, stochastic)
        for kind, stochastic in kinds.items()
        for name, make in (("unmist", ours), ("diffusers", theirs))
    }
    with torch.no_grad():  # the network's own first call is not what is asked
        net(torch.zeros(ROWS, 3, 32, 32), torch.zeros(ROWS), None)
    turns = [{key: outside(run, net) for key, run in runs.items()} for _ in range(times + 1)]
    for kind in kinds:
        for when, rounds in (("", turns[1:]), (", first walk", turns[:1])):
            mine, other = (
                [turn[name, kind] for turn in rounds] for name in ("unmist", "diffusers")
            )
            claim = f"share of a {kind} step outside the network{when}"
            yield claim, mine, 0.01, spread(other)["value"]


def starts(times):
    torch_times, ours_times, help_times = [], [], []
    python = sys.executable
    for _ in range(times):
        torch_times.append(process([python, "-c", "import torch"]))
        ours_times.append(process([python, "-c", "import unmist"]))
        help_times.append(process([python, "-m", "unmist", "--help"]))
    ratios = [a / b for a, b in zip(ours_times, torch_times, strict=True)]
    yield "import unmist over import torch", ratios, 1.3, spread(torch_times)["value"]
    yield "unmist --help, seconds", help_times, 0.3, None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    times = 3 if args.quick else 9
    for claim, values, target, peer in (*walks(times), *starts(times)):
        row = {"claim": claim, **spread(values), "target": target, "peer": peer}
        row["meets"] = row["value"] <= target
        if args.json:
            print(json.dumps(row))
        else:
            beside = "" if peer is None else f"   peer {peer}"
            print(f"{claim}: {row['value']} ({row['min']} … {row['max']}), target {target}{beside}")


if __name__ == "__main__":
    main()
