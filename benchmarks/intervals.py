"""Do the 95 % intervals of the measures hold the true value in 95 % of repeated draws?

Each line is one law of samples and one of data, at stated sizes, drawn anew 200 times and more:
the share of draws whose interval holds the truth, target 0.90 to 0.98, with the bias and the
deviation of the value beside it. 200 draws of a true 0.95 give 0.92 to 0.98.

Gaussians: distances in closed form; equal laws ("same": identity, "decay": variances as 1 / k),
near ("small": means 0.1 off, deviations 0.9 to 1.1) and far ("far": other axes and spectra). The
kernel distance's truth on them is the mean over all draws, as it is unbiased whatever the law.
Real features: the 64 numbers of a classifier taught on the digits, of all 5,000 digits, are the
population; laws are mixtures of its classes, rows are drawn from them with replacement, and the
truth is computed on the weighted population itself. `halved`: three classes at half their rate;
`lost`: two are missing.

    python benchmarks/intervals.py [--quick] [--json] [--draws N] [--only gaussians|digits]
"""

import argparse
import json
import math
import time

import numpy as np
import torch

from unmist.data.opening import open_data
from unmist.metrics.classes import class_balance
from unmist.metrics.classifier import Lessons
from unmist.metrics.features import extract, learn_features
from unmist.metrics.frechet import Moments, frechet_of_moments
from unmist.metrics.frechet_limit import frechet_limit
from unmist.metrics.grouped import Groups
from unmist.metrics.inception import inception_score
from unmist.metrics.kernel import kernel_distance

LOW, HIGH = 0.90, 0.98
GAUSSIANS = (
    ("same", 32, 80),
    ("same", 32, 500),
    ("decay", 32, 500),
    ("small", 32, 500),
    ("far", 32, 500),
    ("same", 64, 500),
    ("decay", 64, 500),
    ("small", 64, 500),
    ("small", 64, 2000),
    ("far", 64, 500),
)
QUICK = (("same", 16, 250), ("small", 16, 250), ("far", 16, 250))
REAL = ("same", "halved", "lost")


def report(claim, found, truth):
    """One line of the table from the estimates of all draws."""
    values = np.array([estimate.value for estimate in found])
    held = float(np.mean([estimate.holds(truth) for estimate in found]))
    return {
        "claim": f"{claim}: share of 95 % intervals that hold the truth",
        "value": round(held, 3),
        "target": [LOW, HIGH],
        "meets": LOW <= held <= HIGH,
        "truth": float(f"{truth:.4g}"),
        "bias": float(f"{values.mean() - truth:.3g}"),
        "deviation": float(f"{values.std(ddof=1):.3g}"),
        "draws": len(found),
    }


def gaussians(kind, width):
    """Mean and root of the covariance of both laws."""
    ones, zero = np.eye(width), np.zeros(width)
    fall = np.sqrt(1 / np.arange(1, width + 1.0))
    fall *= math.sqrt(width / (fall**2).sum())
    draw = np.random.default_rng(3)
    axes = [np.linalg.qr(draw.normal(size=(width, width)))[0] for _ in range(2)]
    return {
        "same": ((zero, ones), (zero, ones)),
        "decay": ((zero, np.diag(fall)), (zero, np.diag(fall))),
        "small": ((zero, ones), (zero + 0.1, np.diag(np.linspace(0.9, 1.1, width)))),
        "far": (
            (zero, axes[0] * fall @ axes[0].T),
            (zero + 0.3, axes[1] * np.sqrt(np.linspace(0.2, 2, width)) @ axes[1].T),
        ),
    }[kind]


def on_gaussians(cases, draws, seed=21):
    for kind, width, count in cases:
        laws = gaussians(kind, width)
        truth = frechet_of_moments(
            *(
                Moments(2, torch.from_numpy(mean), torch.from_numpy(root.T @ root))
                for mean, root in laws
            )
        )
        limits, kernels = [], []
        for turn in range(draws):
            draw = np.random.default_rng((seed, turn))
            one, other = (
                torch.from_numpy(draw.normal(size=(count, width)) @ root + mean)
                for mean, root in laws
            )
            limits.append(
                frechet_limit(Groups.over([one]), Groups.over([other]), features="numbers")
            )
            kernels.append(kernel_distance(one, other, features="numbers"))
        place = f"Gaussians, {kind}, d = {width}, n = {count}"
        yield report(f"Fréchet limit, {place}", limits, truth)
        centre = 0.0 if kind in ("same", "decay") else np.mean([k.value for k in kernels])
        yield report(f"kernel distance, {place}", kernels, float(centre))


class Population:
    """The digits' features, class probabilities and classes, and laws on them."""

    def __init__(self):
        data = open_data("digits")
        values, labels = np.asarray(data.values), np.asarray(data.labels)
        rows = np.random.default_rng(0).permutation(data.train)[:1500]
        features = learn_features(values[rows], labels[rows], lessons=Lessons(passes=3, batch=32))
        logits = extract(features.net, values).double()
        self.features = extract(features, values).double()
        self.answers, self.said = logits.softmax(1), logits.argmax(1)
        self.name = features.name

    def law(self, kind):
        """Weights of the 5,000 rows, by the class the classifier says, which sum to 1."""
        rates = np.ones(10)
        if kind == "halved":
            rates[[1, 4, 7]] = 0.5
        if kind == "lost":
            rates[[3, 8]] = 0
        weights = rates[self.said.numpy()]
        return weights / weights.sum()

    def moments(self, law):
        w = torch.from_numpy(law)[:, None]
        mean = (w * self.features).sum(0)
        centred = self.features - mean
        return Moments(2, mean, (w * centred).T @ centred)

    def kernel_truth(self, law):
        """Between a law and that of all digits, over all pairs of rows, a row with itself too."""
        difference = torch.from_numpy(law - self.law("same"))
        products = self.features @ self.features.T / self.features.shape[1] + 1
        return float(difference @ products**3 @ difference)

    def score_truth(self, law):
        w = torch.from_numpy(law)[:, None]
        mean = (w * self.answers).sum(0)
        p = self.answers
        return math.exp(
            float((w * (torch.special.xlogy(p, p) - torch.special.xlogy(p, mean))).sum())
        )

    def shares(self, law):
        return np.bincount(self.said.numpy(), law, 10)

    def truths(self, law):
        whole = self.law("same")
        return {
            "Fréchet limit": frechet_of_moments(self.moments(law), self.moments(whole)),
            "kernel distance": self.kernel_truth(law),
            "classifier score": self.score_truth(law),
            "class variation": float(np.abs(self.shares(law) - self.shares(whole)).sum() / 2),
        }

    def measured(self, law, count, turn, seed=22):
        """All four measures of one draw of `count` rows of a law, against as many of all digits."""
        draw = np.random.default_rng((seed, turn))
        ours = torch.from_numpy(draw.choice(len(law), count, p=law))
        real = torch.from_numpy(draw.choice(len(law), count, p=self.law("same")))
        one, other = self.features[ours], self.features[real]
        balance = class_balance(self.said[ours], self.said[real], tuple("0123456789"))
        return {
            "Fréchet limit": frechet_limit(
                Groups.over([one]), Groups.over([other]), features=self.name
            ),
            "kernel distance": kernel_distance(one, other, features=self.name),
            "classifier score": inception_score(self.answers[ours], features=self.name),
            "class variation": balance.distance,
        }


def on_digits(sizes, kinds, draws):
    world = Population()
    for count in sizes:
        for kind in kinds:
            law = world.law(kind)
            drawn = [world.measured(law, count, turn) for turn in range(draws)]
            for name, truth in world.truths(law).items():
                found = [each[name] for each in drawn]
                yield report(f"{name}, digits, {kind}, n = {count}", found, truth)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--only", choices=("gaussians", "digits"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    cases = QUICK if args.quick else GAUSSIANS
    sizes, kinds = ((400,), ("same", "lost")) if args.quick else ((500, 1500), REAL)
    parts = {
        "gaussians": on_gaussians(cases, args.draws),
        "digits": on_digits(sizes, kinds, args.draws),
    }
    for claims in [parts[args.only]] if args.only else parts.values():
        for row in claims:
            if args.json:
                print(json.dumps(row), flush=True)
            else:
                rest = {k: row[k] for k in ("truth", "bias", "deviation", "draws")}
                mark = "" if row["meets"] else "  MISSED"
                print(
                    f"{row['claim'].split(': ')[0]}: {row['value']:.3f}{mark}  {rest}", flush=True
                )
    if not args.json:
        print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
