"""Continuous batching: short requests among long ones, against one request after another.

Requests of two kinds, in one fixed order: four in five are short (1 picture, 5 steps), one in five
is long (4 pictures, 50 steps). 1, 4 or 16 are in flight: whenever one ends, the next arrives. Each
is answered by (a) `unmist.core.serve.Desk`, all that are in flight sharing calls of at most 32
rows; (b) our own walk, one request after another, first come first served; (c) the same with
diffusers' DDIM scheduler in the loop of its pipeline. All three drive one network (our default at
28×28, untrained: only time is measured), in turn, so that they share what else the machine does.

Waiting is wall-clock time from a request's arrival to its last picture. Throughput is pictures'
network rows a second. Target: with 16 in flight the 95th percentile of short requests is at most a
third of that of one after another (a third of the better of b and c). With 1 in flight there is
nothing to share: that line shows what the desk costs. What a long request pays is in the table.

    python benchmarks/batching.py [--quick] [--json] [--requests 40] [--turns 3] [--threads 1]
"""

import argparse
import json
import os
import time
from typing import NamedTuple

os.environ["DIFFUSERS_VERBOSITY"] = "error"

import numpy as np
import torch
from diffusers import DDIMScheduler

from unmist.base.noise import Noise, keyed
from unmist.core.condition import Signals, Sockets
from unmist.core.default import default_solver, default_spacing
from unmist.core.denoiser import NetDenoiser
from unmist.core.plan import descend
from unmist.core.prediction import Eps, TableIndex
from unmist.core.serve import Desk, Request
from unmist.core.table import Table
from unmist.core.walk import final, started, trace, walk
from unmist.networks.unet import UNet

SHAPE = (1, 28, 28)
IN_FLIGHT = (1, 4, 16)
TABLE = Table()


class Kind(NamedTuple):
    """How many pictures in how many steps."""

    pictures: int
    steps: int


class Done(NamedTuple):
    """One request's kind and its time from arrival to end."""

    kind: Kind
    waited: float


def network(width):
    """Asked as a table's eps network, which both sides can drive."""
    net = UNet(width=width).build(SHAPE, Sockets()).eval().requires_grad_(False)
    return NetDenoiser(lambda x, clock, cond: net(x, clock, Signals()), Eps(TableIndex(TABLE)))


def orders(count, short, long):
    """The kinds in their order, the same for everyone: one in five is long."""
    return [long if place else short for place in keyed(0, "requests").random(count) < 0.2]


def asked(number, kind):
    """x, plan, solver and noise of a request."""
    plan = descend(default_spacing()(TABLE, kind.steps))
    ids = tuple(range(100 * number, 100 * number + kind.pictures))
    noise = Noise(0, "request", ids)
    return started(torch.zeros(len(ids), *SHAPE), plan, noise), plan, default_solver(), noise


def together(denoise, kinds, flight):
    """(a): the desk; the seconds of it all and what each request waited."""
    desk, waiting, known, done = Desk(denoise), list(enumerate(kinds)), {}, []
    start = time.perf_counter()

    def arrivals():
        while waiting and len(known) < flight:
            number, kind = waiting.pop(0)
            admitted = desk.admit(Request(trace(*asked(number, kind)), kind.steps))
            known[admitted] = (kind, time.perf_counter())

    arrivals()
    while known:
        for number, state in list(desk.round()):
            if state.level.is_data:
                kind, came = known.pop(number)
                done.append(Done(kind, time.perf_counter() - came))
        arrivals()
    return time.perf_counter() - start, done


def in_turn(run, kinds, flight):
    """(b) and (c): whoever came first is served whole before the next."""
    waiting, queue, done = list(enumerate(kinds)), [], []
    start = time.perf_counter()
    while waiting or queue:
        while waiting and len(queue) < flight:
            queue.append((*waiting.pop(0), time.perf_counter()))
        number, kind, came = queue.pop(0)
        run(number, kind)
        done.append(Done(kind, time.perf_counter() - came))
    return time.perf_counter() - start, done


def own(denoise):
    """Our walk of one request."""
    return lambda number, kind: final(walk(denoise, *asked(number, kind)))


def diffusers_loop(denoise):
    """The loop of diffusers' DDIMPipeline on the same network."""
    scheduler = DDIMScheduler(1000, clip_sample=False, timestep_spacing="trailing")

    def run(number, kind):
        scheduler.set_timesteps(kind.steps)
        x = Noise(0, "request", tuple(range(100 * number, 100 * number + kind.pictures)))(
            torch.zeros(kind.pictures, *SHAPE), 0
        )
        for step in scheduler.timesteps:
            with torch.no_grad():
                answer = denoise.net(x, torch.full((len(x),), float(step)), None)
            x = scheduler.step(answer, step, x).prev_sample

    return run


def waited(done, kind):
    """Median and 95th percentile of one kind, seconds."""
    times = [one.waited for one in done if one.kind == kind]
    return np.median(times), np.quantile(times, 0.95)


def measured(chosen, denoise):
    """(flight, way) -> rows a second and waits of each turn."""
    kinds = orders(chosen.requests, chosen.short, chosen.long)
    rows = sum(kind.pictures * kind.steps for kind in kinds)
    ways = {
        "together": lambda flight: together(denoise, kinds, flight),
        "one after another": lambda flight: in_turn(own(denoise), kinds, flight),
        "diffusers' loop": lambda flight: in_turn(diffusers_loop(denoise), kinds, flight),
    }
    found = {}
    for turn in range(chosen.turns):
        for flight in IN_FLIGHT:
            for way in list(ways)[turn % 3 :] + list(ways)[: turn % 3]:
                seconds, done = ways[way](flight)
                short, long = (waited(done, kind) for kind in (chosen.short, chosen.long))
                found.setdefault((flight, way), []).append((rows / seconds, *short, *long))
    return {key: np.array(turns) for key, turns in found.items()}


def claims(found):
    """The target, and what everything costs, a line each."""
    for flight in IN_FLIGHT:
        ours = found[flight, "together"]
        peers = [found[flight, way] for way in ("one after another", "diffusers' loop")]
        ratios = ours[:, 2] / np.minimum(peers[0][:, 2], peers[1][:, 2])
        target = {16: 1 / 3}.get(flight)
        yield {
            "claim": f"batching: 95th percentile of short requests, {flight} in flight",
            "value": float(np.median(ratios)),
            "least": float(ratios.min()),
            "most": float(ratios.max()),
            "target": target,
            "meets": None if target is None else bool(np.median(ratios) <= target),
        }
        rates = ours[:, 0] / peers[0][:, 0]
        yield {
            "claim": f"batching: throughput against one after another, {flight} in flight",
            "value": float(np.median(rates)),
            "least": float(rates.min()),
            "most": float(rates.max()),
            "target": None,
            "meets": None,
        }


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    chosen.short, chosen.long = Kind(1, 5), Kind(4, 50)
    if chosen.quick:
        chosen.requests, chosen.turns, chosen.width = 20, 1, 16
        chosen.long = Kind(4, 20)
    return chosen


def main():
    chosen = options()
    torch.set_num_threads(chosen.threads)
    load = os.getloadavg()[0]
    found = measured(chosen, network(chosen.width))
    if not chosen.json:
        print(
            f"load before {load:.1f}, {chosen.requests} requests, medians of {chosen.turns} turns"
        )
        print(f"{'in flight':>9} {'':18} rows/s  short: median, 95 %   long: median, 95 %")
        for (flight, way), turns in found.items():
            rate, *waits = np.median(turns, 0)
            print(f"{flight:>9} {way:18} {rate:6.1f}  " + " ".join(f"{w:9.2f} s" for w in waits))
    for claim in claims(found):
        print(json.dumps(claim) if chosen.json else claim)


if __name__ == "__main__":
    main()
