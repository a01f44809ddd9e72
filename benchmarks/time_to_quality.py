"""How good are samples after a given time of training, beside what other libraries give?

    python benchmarks/time_to_quality.py [--data digits|emoji] [--minutes 4,12] [--seeds 0,1]
                                         [--peers diffusers,...]
                                         [--threads 2] [--told 1] [--state FOLDER]
                                         [--samples 1000] [--quick] [--json]

On the 5,000 digits, or the 1,636 emoji of 32 by 32 in colour, from nothing: every contestant trains
on the same rows for the same time and with the same number of threads, on this machine. They take
turns of 30 seconds, so that a busy machine is busy for all; a turn is timed by the wall clock,
sampling and measuring are not. Ours is `unmist train --budget` with its defaults: measuring the
speed, looks, held-out losses and checkpoints are in its time. It turns its budget into a length
once; where the machine is slower afterwards than in those seconds, --told 0.8 gives it less, so
that it does not take longer than the others.

The judge: the Fréchet distance to held-out pictures that none has seen, in the 64 features of one
classifier, less the floor that real training pictures have at the same number (`excess`). Beside it
coverage, and the share of copies with what held-out pictures give. A ratio is our excess over the
least of the peers'. Stopped runs continue where they were; each result is stored with its grid.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch

from peers_training import PEERS, Peer
from unmist.base import files
from unmist.data.opening import open_data
from unmist.metrics.classifier import LESSONS
from unmist.metrics.copies import copies
from unmist.metrics.diversity import diversity
from unmist.metrics.features import accuracy, extract, learn_features, restore_features
from unmist.metrics.frechet import frechet_score
from unmist.run.model import load
from unmist.run.picture import grid, save_picture
from unmist.run.recipe import Recipe
from unmist.run.weights import load_weights, write_weights
from unmist.workflows.sample import Shot, sample
from unmist.workflows.train import Order, training

TARGET = 0.25
TURN, SAVE = 30.0, 120.0  # seconds of a contestant's own time
TOLERANCE = 1.03  # our run turns its budget into a length once, so it may end late on a slow day


@dataclass(frozen=True)
class Trial:
    """One budget and seed, and where its state is."""

    minutes: float
    seed: int
    folder: Path
    steps: int
    threads: int
    told: float = 1.0
    data: str = "digits"

    @property
    def name(self):
        return f"{self.minutes:g} min, seed {self.seed}"


class Ours:
    """`unmist train DATA --budget`, advanced report by report."""

    about = "unmist, defaults"

    def __init__(self, trial):
        self.folder = trial.folder / "model"
        recipe = Recipe()
        recipe = replace(
            recipe,
            data=replace(recipe.data, source=trial.data),
            training=replace(recipe.training, seed=trial.seed),
        )
        budget = trial.told * trial.minutes * 60
        order = Order(budget=budget, fit=True, threads=trial.threads)
        self.run, self.seen = training(recipe, self.folder, order), 0

    def advance(self, share):
        """On to the next report; False when the run has ended."""
        del share
        report = next(self.run, None)
        self.seen = report.seen if report else self.seen
        return report is not None

    @property
    def parameters(self):
        return sum(p.numel() for p in load(self.folder).denoiser.net.parameters())

    def sample(self, count, seed, steps):
        """With the model's own sampling settings."""
        del steps
        return sample(load(self.folder), Shot(count=count, seed=seed, batch=125)).pixels

    def close(self):
        self.run.close()


class Runner:
    """A contestant with its clock and its state on disk."""

    def __init__(self, name, trial, values):
        self.name, self.trial, self.values = name, trial, values
        self.place = trial.folder / name
        self.place.mkdir(parents=True, exist_ok=True)
        self.trial = replace(trial, folder=self.place)
        clock = self.place / "clock.json"
        self.seconds = json.loads(clock.read_text())["seconds"] if clock.exists() else 0.0
        self.saved, self.ended = self.seconds, False
        self.who = None

    @property
    def budget(self):
        return self.trial.minutes * 60

    @property
    def done(self):
        return self.ended or (self.name != "ours" and self.seconds >= self.budget)

    def prepare(self):
        """Build the contestant and restore what was saved."""
        if self.name == "ours":
            self.who = Ours(self.trial)
            return
        self.who = Peer(self.name, self.values, self.trial.seed)
        if self.saved:
            self.who.restore(load_weights(self.place / "state.safetensors"))

    def turn(self, length):
        """Train for `length` seconds."""
        torch.set_num_threads(self.trial.threads)
        end = self.seconds + length
        while not self.done and self.seconds < end:
            start = time.perf_counter()
            self.ended = not self.who.advance(self.seconds / self.budget)
            self.seconds += time.perf_counter() - start
        if self.done or self.seconds > self.saved + SAVE:
            self.save()

    def save(self):
        # the state first: after a kill between the two a peer has trained a little longer than
        # its clock says, never shorter
        if self.name != "ours":
            write_weights(self.place / "state.safetensors", self.who.tensors())
        files.write_json(self.place / "clock.json", {"seconds": self.seconds})
        self.saved = self.seconds


class Judge:
    """One classifier and the reference that all are measured against."""

    def __init__(self, data, folder, *, brief):
        self.data, path = data, folder / "judge.safetensors"
        if not path.exists():
            rows = data.train[::4] if brief else data.train
            lessons = replace(LESSONS, passes=2) if brief else LESSONS
            taught = learn_features(data.values[rows], data.labels[rows], lessons=lessons)
            write_weights(path, taught.tensors())
        self.features = restore_features(load_weights(path), data.shape)
        self.train, self.held = (self.pair(data.values[r]) for r in (data.train, data.held))
        self.accuracy = accuracy(self.features, data.values[data.held], data.labels[data.held])

    def pair(self, pixels):
        return torch.from_numpy(np.ascontiguousarray(pixels)), extract(self.features, pixels)

    def __call__(self, pixels):
        pixels = self.pair(pixels)
        name = self.features.name
        score = frechet_score(pixels[1], self.train[1], self.held[1], features=name)
        spread = diversity(self.held[1], pixels[1])
        copied = copies(pixels, self.train, self.held)
        return {
            "excess": score.excess,
            **asdict(score),
            "coverage": spread.coverage,
            "expected_coverage": spread.expected_coverage,
            "density": spread.density,
            "copies": copied.pixels,
            "copies_held": copied.held_pixels,
            "accuracy": self.accuracy,
        }


def compete(trial, names, judge, count):
    """Train all contestants of a trial in turns, and measure each: name -> result."""
    rows = np.ascontiguousarray(judge.data.values[judge.data.train])
    runners = [Runner(name, trial, rows) for name in names]
    waiting = [r for r in runners if not (r.place / "result.json").exists()]
    for runner in waiting:
        runner.prepare()
    turn = min(TURN, trial.minutes * 60 / 4)
    while running := [r for r in waiting if not r.done]:
        for runner in running:
            runner.turn(turn)
            print(f"  {trial.name}: {runner.name} {runner.seconds:.0f} s", file=sys.stderr)
    for runner in waiting:
        measure(runner, trial, judge, count)
    return {r.name: json.loads((r.place / "result.json").read_text()) for r in runners}


def measure(runner, trial, judge, count):
    """Sample, judge, store the figures and a grid of the first hundred."""
    start = time.perf_counter()
    pixels = runner.who.sample(count, trial.seed, trial.steps)
    taken = time.perf_counter() - start
    save_picture(runner.place / "grid.png", grid(pixels[:100], columns=10), {})
    result = {
        "about": runner.who.about,
        "seconds": runner.seconds,
        "seen": runner.who.seen,
        "parameters": runner.who.parameters,
        "sampling_seconds": taken,
        **judge(pixels),
    }
    files.write_json(runner.place / "result.json", result)
    if runner.name == "ours":
        runner.who.close()


def table(trial, results):
    """Lines of one trial."""
    first = next(iter(results.values()))
    yield (
        f"{trial.name}, threads {trial.threads}: {first['count']} samples against "
        f"{first['reference']} held-out {trial.data}, "
        f"{first['width']} features of {first['features']} "
        f"(names {first['accuracy']:.1%} of held-out digits right), "
        f"floor {first['floor']:.3f}, coverage of perfect samples {first['expected_coverage']:.3f}"
    )
    for name, r in sorted(results.items(), key=lambda item: item[1]["excess"]):
        yield (
            f"  {name:10} excess {r['excess']:8.3f}  coverage {r['coverage']:.3f}  "
            f"copies {r['copies']:.2%} (held-out {r['copies_held']:.2%})  "
            f"{r['seconds']:.0f} s, {r['seen']} seen, {r['parameters'] / 1e6:.2f} M  {r['about']}"
        )


def claim(data, minutes, trials, tolerance):
    """The claim of one budget over its seeds."""
    ratios, late = [], False
    for results in trials:
        ours = results["ours"]
        best = min(r["excess"] for name, r in results.items() if name != "ours")
        ratios.append(ours["excess"] / best)
        late |= ours["seconds"] > tolerance * minutes * 60
    return {
        "claim": f"time_to_quality {data} {minutes:g} min: our excess Fréchet distance / best's",
        "value": mean(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "target": TARGET,
        "meets": mean(ratios) <= TARGET and not late,
        "late": late,
    }


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--data", choices=["digits", "emoji"], default="digits")
    parser.add_argument("--minutes", default="4,12")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--peers", default="diffusers,tuned,narrow,equal,ddp-small,ddp-tuned")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--told", type=float, default=1.0, help="share of the time that our run is told it has"
    )
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument(
        "--steps", type=int, default=50, help="network calls of the peers' samplers"
    )
    parser.add_argument(
        "--state", type=Path, help="where runs are kept (default: time_to_quality_DATA)"
    )
    parser.add_argument("--quick", action="store_true", help="only shows that it runs")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    chosen.state = chosen.state or Path(f"time_to_quality_{chosen.data}")
    for name in chosen.peers.split(","):
        if name not in PEERS:
            parser.error(f"no peer '{name}'; known: {', '.join(PEERS)}")
    if chosen.quick:
        chosen.minutes, chosen.seeds, chosen.samples, chosen.steps = "0.05", "0", 24, 4
        chosen.peers = "diffusers,ddp-small"
        chosen.state = Path(tempfile.mkdtemp(prefix="time_to_quality_"))
    return chosen


def main():
    chosen = options()
    torch.set_num_threads(chosen.threads)
    chosen.state.mkdir(parents=True, exist_ok=True)
    judge = Judge(open_data(chosen.data), chosen.state, brief=chosen.quick)
    names = ["ours", *chosen.peers.split(",")]
    for minutes in map(float, chosen.minutes.split(",")):
        outcomes = []
        for seed in map(int, chosen.seeds.split(",")):
            folder = chosen.state / f"{minutes:g}-{seed}"
            trial = Trial(
                minutes, seed, folder, chosen.steps, chosen.threads, chosen.told, chosen.data
            )
            outcomes.append(compete(trial, names, judge, chosen.samples))
            if not chosen.json:
                print(*table(trial, outcomes[-1]), sep="\n", flush=True)
        line = claim(chosen.data, minutes, outcomes, TOLERANCE if not chosen.quick else 10.0)
        print(json.dumps(line) if chosen.json else summary(line), flush=True)


def summary(line):
    return (
        f"{line['claim']}: {line['value']:.3f} ({line['least']:.3f} … {line['most']:.3f}), "
        f"target {line['target']}: {'met' if line['meets'] else 'NOT met'}"
        + (" (our run took longer than its budget)" if line["late"] else "")
    )


if __name__ == "__main__":
    main()
