"""power: which measure sees which fault, and whether the intervals hold.

Real digits in three disjoint parts: one teaches the features and is the training set of `copies`
and `alike`, one is the reference, and samples are drawn from the third, so that the clean case is
truly clean. Faults are planted into such draws: blur (pixels), noise (levels), classes left out
(half of one, one, three), one picture repeated, training pictures among the samples (shares). A
measure sees a fault where its value lies more than 3 deviations from the mean of clean draws,
whose deviation is corrected for the finite third part, and for shares is at least one sample: the
median of three faulty draws (--quick: one, from fewer clean ones, so that about one cell in fifty
is a false alarm).

Peers on the same features: torchmetrics' FID and KID, and prdc, give the same numbers as ours
(the differences are printed), so what they see stands in those columns; the others they lack.

--coverage instead: how many 95 % intervals of precision, recall, density and coverage hold the mean
over repeated draws, on Gaussians and on the digits' features.

    python benchmarks/power.py [--quick] [--json] [--coverage]
"""

import argparse
import io
import json
import math
import statistics
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from prdc import compute_prdc
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from unmist.base.noise import keyed
from unmist.data.opening import open_data
from unmist.metrics.alike import alike
from unmist.metrics.classes import class_balance
from unmist.metrics.copies import Copies, Originals
from unmist.metrics.diversity import diversity, diversity_estimates
from unmist.metrics.features import ClassifierFeatures, extract, learn_features
from unmist.metrics.frechet import frechet_distance
from unmist.metrics.frechet_limit import frechet_limit
from unmist.metrics.grouped import Groups
from unmist.metrics.inception import inception_score
from unmist.metrics.kernel import kernel_distance

STRENGTHS = {
    "blur": (0.4, 0.7, 1.2),
    "noise": (10, 25, 60),
    "dropped class": (0.5, 1, 3),
    "duplicates": (0.02, 0.1, 0.4),
    "copies": (0.02, 0.1, 1.0),
}
SHARES = ("precision", "recall", "coverage", "balance", "copies", "alike")
NAMES = ("precision", "recall", "density", "coverage")


@dataclass(frozen=True)
class Size:
    """How many pictures of each part, samples a draw, and draws."""

    train: int
    reference: int
    samples: int
    clean: int
    faulty: int
    planted: int


FULL, QUICK = Size(2200, 1000, 500, 20, 3, 100), Size(1000, 500, 400, 10, 1, 16)


@dataclass(frozen=True, eq=False)
class Digits:
    """The three parts, and the features learned on the first."""

    size: Size
    features: ClassifierFeatures
    train: tuple[Tensor, Tensor]
    reference: tuple[Tensor, Tensor]
    pool: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    @classmethod
    def of(cls, size: Size) -> "Digits":
        data = open_data("digits")
        order = keyed(0, "power").permutation(len(data))
        cuts = [size.train, size.train + size.reference]
        first, second, third = np.split(order, cuts)
        values, labels = np.asarray(data.values), data.labels
        features = learn_features(values[first], labels[first])
        train, reference = (
            (torch.from_numpy(values[part]), extract(features, values[part]))
            for part in (first, second)
        )
        pool, kinds = torch.from_numpy(values[third]), torch.from_numpy(labels[third])
        return cls(size, features, train, reference, pool, kinds, data.classes)

    @cached_property
    def originals(self) -> Originals:
        """What copies are sought among."""
        return Originals.of(self.train, self.reference)

    def named(self, features: Tensor) -> Tensor:
        """The classifier's answers."""
        return self.features.probabilities_of(features).argmax(1)

    def draw(self, seed: int, weight: Tensor | None = None) -> Tensor:
        """Samples: real pictures of the third part, each at most once."""
        random = keyed(seed, "draw")
        kept = torch.ones(len(self.pool)) if weight is None else weight
        keys = torch.from_numpy(random.random(len(self.pool))) ** (1 / kept.clamp(min=1e-9))
        return self.pool[keys.topk(self.size.samples).indices].clone()


def planted(digits: Digits, fault: str, strength: float, seed: int) -> Tensor:
    """A draw with a fault."""
    random = keyed(seed, "fault")
    if fault == "dropped class":
        weight = torch.ones(len(digits.pool))
        for kind in (4, 7, 9)[: math.ceil(strength)]:
            weight[digits.labels == kind] = 0.5 if strength < 1 else 0.0
        return digits.draw(seed, weight)
    x = digits.draw(seed)
    if fault == "blur":
        reach = torch.arange(-4, 5)
        line = torch.exp(-(reach**2) / (2 * strength**2))
        kernel = torch.outer(line, line) / line.sum() ** 2
        soft = torch.nn.functional.conv2d(x.float(), kernel[None, None], padding=4)
        return soft.round().clamp(0, 255).to(torch.uint8)
    if fault == "noise":
        noisy = x + strength * torch.from_numpy(random.standard_normal(x.shape))
        return noisy.round().clamp(0, 255).to(torch.uint8)
    count = round(strength * len(x))
    if fault == "duplicates":
        x[:count] = x[0].clone()
    if fault == "copies":
        x[:count] = digits.train[0][
            torch.from_numpy(random.permutation(len(digits.train[0]))[:count])
        ]
    return x


def copied(digits: Digits, samples: Tensor) -> Copies:
    return digits.originals((samples, extract(digits.features, samples)))


def measured(digits: Digits, samples: Tensor) -> dict[str, float]:
    """Every measure of one draw."""
    name, held = digits.features.name, digits.reference[1]
    x = extract(digits.features, samples)
    found = diversity(held, x)
    balance = class_balance(digits.named(x), digits.named(held), digits.classes)
    chances = digits.features.probabilities_of(x)
    groups = Groups.over([x]), Groups.over([held])
    return {
        "FD": frechet_distance(x, held),
        "FD limit": frechet_limit(*groups, features=name).value,
        "KID": kernel_distance(x, held, features=name).value,
        "IS": inception_score(chances, features=name).value,
        **{key: getattr(found, key) for key in NAMES},
        "balance": balance.distance.value,
        "copies": copied(digits, samples).share.value,
        "alike": alike((samples, x), digits.train).share.value,
    }


def table(digits: Digits) -> dict[tuple[str, float], dict[str, float]]:
    """Deviations from clean draws, of each fault at each strength by each measure."""
    size = digits.size
    rows = [measured(digits, digits.draw(seed)) for seed in range(size.clean)]
    rest = math.sqrt(1 - size.samples / len(digits.pool))
    clean = {}
    for key in rows[0]:
        values = [row[key] for row in rows]
        least = 1 / size.samples if key in SHARES else 1e-12
        clean[key] = statistics.mean(values), max(least, statistics.stdev(values) / rest)
    found = {}
    cases = [(fault, strength) for fault, strengths in STRENGTHS.items() for strength in strengths]
    for number, (fault, strength) in enumerate(cases, 1):
        draws = [
            measured(digits, planted(digits, fault, strength, 1000 * number + seed))
            for seed in range(size.faulty)
        ]
        found[fault, strength] = {
            key: statistics.median((draw[key] - mean) / spread for draw in draws)
            for key, (mean, spread) in clean.items()
        }
    return found


def five_percent(digits: Digits) -> tuple[float, float, float]:
    """Of draws with a copy in twenty on average: the share of intervals that hold 5 %, the mean
    share found, and the mean width."""
    shares = []
    for seed in range(digits.size.planted):
        count = keyed(seed, "planted").binomial(digits.size.samples, 0.05)
        x = planted(digits, "copies", count / digits.size.samples, 100_000 + seed)
        shares.append(copied(digits, x).share)
    return (
        statistics.mean(share.holds(0.05) for share in shares),
        statistics.mean(share.value for share in shares),
        statistics.mean(share.high - share.low for share in shares),
    )


class Same(torch.nn.Module):
    """Features that are there already, as a network."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, x: Tensor) -> Tensor:
        return x


def peers(digits: Digits) -> dict[str, float]:
    """The largest relative difference from each peer, on one clean draw."""
    x, held = extract(digits.features, digits.draw(0)).double(), digits.reference[1].double()
    held = held[: len(x)]
    width = x.shape[1]
    network = Same(width)
    fid = FrechetInceptionDistance(feature=network, input_img_size=(width,))
    kid = KernelInceptionDistance(feature=network, subsets=1, subset_size=len(x))
    for metric in (fid, kid):
        metric.set_dtype(torch.float64)
        metric.update(held, real=True)
        metric.update(x, real=False)
    with redirect_stdout(io.StringIO()):  # it tells the counts
        theirs = compute_prdc(held.numpy(), x.numpy(), 5)
    found = diversity(held, x)
    ours = kernel_distance(x, held, features="numbers").value
    distance = frechet_distance(x, held)
    return {
        "torchmetrics FID": abs(float(fid.compute()) / distance - 1),
        "torchmetrics KID": abs(float(kid.compute()[0]) - ours),
        "prdc": max(abs(theirs[key] - getattr(found, key)) for key in NAMES),
    }


Law = Callable[[int], tuple[Tensor, Tensor]]


def laws(digits: Digits) -> Iterator[tuple[str, Law]]:
    """Draws of (real, samples), 300 each: of known laws, and of real features."""

    def gaussian(width: int, scale: float) -> Law:
        def drawn(seed: int) -> tuple[Tensor, Tensor]:
            both = keyed(seed, "gaussian").standard_normal((2, 300, width))
            return torch.from_numpy(both[0]), torch.from_numpy(both[1] * scale)

        return drawn

    for width in (2, 16, 64):
        for scale in (1.0, 0.8):
            yield f"Gaussian, width {width}, samples {scale:g} as wide", gaussian(width, scale)
    held = extract(digits.features, digits.pool)
    blurred = torch.cat([digits.pool[:, :, 1:], digits.pool[:, :, -1:]], 2) // 2 + digits.pool // 2
    for name, other in (("real", held), ("blurred", extract(digits.features, blurred))):

        def drawn(seed: int, other: Tensor = other) -> tuple[Tensor, Tensor]:
            order = torch.from_numpy(keyed(seed, "law").permutation(len(held)))
            return held[order[:300]], other[order[300:600]]

        yield f"digits' features, {name} samples", drawn


def coverage(digits: Digits, draws: int, plain: bool) -> None:
    for name, law in laws(digits):
        found = [diversity_estimates(*law(seed), features="numbers") for seed in range(draws)]
        for column in zip(*found, strict=True):
            truth = statistics.mean(e.value for e in column)
            held = statistics.mean(e.holds(truth) for e in column)
            claim = f"{column[0].name}: intervals that hold, {name}"
            report(claim, held, 0.9, 0.9 <= held <= 0.98, plain)


def report(claim: str, value: float, target: float, meets: bool, plain: bool) -> None:
    value = float(f"{value:.4g}")
    if plain:
        print(f"{claim}: {value}, target {target}{'' if meets else '  SHORT'}", flush=True)
    else:
        row = {"claim": claim, "value": value, "target": target, "meets": meets}
        print(json.dumps(row), flush=True)


def shown(found: dict[tuple[str, float], dict[str, float]]) -> None:
    keys = list(next(iter(found.values())))
    print("deviations from clean draws; * seen (more than 3)")
    print(f"{'':20}" + "".join(f"{key:>11}" for key in keys))
    for (fault, strength), row in found.items():
        cells = (f"{z:.1f}{'*' if abs(z) > 3 else ' '}" for z in row.values())
        print(f"{f'{fault} {strength:g}':20}" + "".join(f"{cell:>11}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("--quick", "--json", "--coverage"):
        parser.add_argument(flag, action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # torchmetrics' own
    size = QUICK if args.quick else FULL
    digits, plain = Digits.of(size), not args.json
    if args.coverage:
        coverage(digits, 40 if args.quick else 200, plain)
        return
    found = table(digits)
    if plain:
        shown(found)
    for fault, strengths in STRENGTHS.items():
        seen = [key for key, z in found[fault, strengths[1]].items() if abs(z) > 3]
        told = f"measures that see {fault} {strengths[1]:g}: {', '.join(seen) or 'none'}"
        report(told, len(seen), 1, bool(seen), plain)
    held, share, width = five_percent(digits)
    told = f"5 % copies planted: intervals that hold 5 % (mean {share:.3f}, width {width:.3f})"
    report(told, held, 0.9, held >= 0.9, plain)
    for name, apart in peers(digits).items():
        report(f"difference from {name}", apart, 1e-3, apart <= 1e-3, plain)


if __name__ == "__main__":
    main()
