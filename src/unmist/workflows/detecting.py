"""The detectors of a policy, opened: each rule with what it needs from this machine.

What cannot be opened is told before any picture is judged, in one line with the mend, and nothing
is published: a check that does not run is never taken for one that was passed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.guard.detector import Detector, Finding, Seen
from unmist.guard.network import OnnxNetwork, opened_session
from unmist.guard.policy import Copied, Network, Nudity, Policy, Rule, Words, rules
from unmist.guard.watched import Broken, watched
from unmist.guard.words import WordRules
from unmist.metrics.copies import Copies, copies, shrunk
from unmist.metrics.nsfw import INPUT, NSFW_FILE, NSFW_SHA256, NsfwFeatures
from unmist.run.plain import from_plain
from unmist.run.recipe import Data, mirrors, read_recipe
from unmist.run.shipped import home_of
from unmist.run.toml import read_toml
from unmist.workflows.blocks import Reference
from unmist.workflows.fetch import features_home

__all__ = ["Learned", "detectors_of", "learned_of", "read_policy"]

MOST = 1 << 30
HELD = 400
"""So many held-out pictures say how near a picture may lie by chance."""
SAME = 0.02
"""A picture fifty times nearer to one training picture than to the next ones is that picture."""


@dataclass(frozen=True, eq=False)
class Learned:
    """What a model learned from: uint8 (n, c, *s), and real pictures it did not see; mirrored?"""

    train: Tensor
    held: Tensor
    flips: bool = False


def read_policy(path: Path) -> Policy:
    """A policy from TOML, strictly. Raises BadInput with the path of what is wrong."""
    return from_plain(read_toml(path), Policy, {Rule: rules}, path.name)


def learned_of(model: Path | None, against: str) -> Learned | None:
    """The data of a model's recipe, or those named; None where neither is. Raises BadInput.

    model: a run's folder, or the name of a model that comes with the package.
    """
    if against:
        data, flips = Reference(Data(source=against)).open(), True
    elif model is not None:
        recipe = read_recipe(home_of(model) / "recipe.toml")
        data, flips = Reference(recipe.data).open(), mirrors(recipe)
    else:
        return None
    train, held = (torch.from_numpy(data.values[rows]) for rows in (data.train, data.held[:HELD]))
    if train.ndim != 4:
        raise BadInput(
            "are no pictures", where=f"the data {data.name}", mend="leave it out: --without copied"
        )
    return Learned(train, held, flips)


def detectors_of(
    policy: Policy, learned: Learned | None, own: Sequence[Detector] = ()
) -> tuple[Detector, ...]:
    """One detector a rule, in their order. Raises BadInput where one is not to be had."""
    given = {detector.name: detector for detector in own}
    wanted = {rule.limit.detector for rule in policy.detectors}
    for name in given.keys() - wanted:
        raise BadInput(f"the policy has no rule for the detector '{name}'", where="publish")
    return tuple(_opened(rule, learned, given) for rule in policy.detectors)


def _opened(rule: Rule, learned: Learned | None, given: dict[str, Detector]) -> Detector:
    name = rule.limit.detector
    match rule:
        case Nudity():
            return _nudity(rule)
        case Copied():
            return _copies(rule, learned)
        case Words():
            return WordRules(rule)
        case Network():
            detector = OnnxNetwork(rule, files.read_bytes(Path(rule.file), most=MOST, links=True))
            _runs(detector, rule.limit.seconds, rule.file)
            return detector
        case _ if name in given:
            return given[name]
        case _:
            raise BadInput("no detector of this name was given", where=name, mend="publish(own=…)")


def _nudity(rule: Nudity) -> "NudityDetector":
    path = features_home() / NSFW_FILE
    mend = "get it by: unmist fetch opennsfw, or go without it: --without nudity"
    if not path.is_file():
        raise BadInput("Open-NSFW's weights are not here", where=rule.limit.detector, mend=mend)
    content = files.read_bytes(path, most=MOST, links=True)
    if files.digest(content) != NSFW_SHA256:
        raise BadInput("Open-NSFW's weights are not the right file", where=path, mend=mend)
    detector = NudityDetector(content)
    _runs(detector, rule.seconds, path)
    return detector


def _runs(detector: Detector, seconds: float, where: object) -> None:
    """BadInput where a network does not run at all; tried in a child, which it may take along."""
    grey = Seen(np.full((3, 32, 32), 128, np.uint8))
    try:
        watched(lambda: len(detector([grey])), max(60.0, seconds))
    except Broken as fault:
        mend = f"or go without it: --without {detector.name}"
        raise BadInput(f"{detector.name} {fault.why}", where=where, mend=mend) from None


def _copies(rule: Copied, learned: Learned | None) -> "CopyDetector":
    """BadInput where the data are unknown, or too few to be as sure as the rule wants."""
    mend = "name the model's folder by --model, its data by --against, or --without copied"
    if learned is None:
        raise BadInput("which pictures did the model learn from?", where="copied", mend=mend)
    count = len(learned.held)
    if 1 - 1 / (1 + count) < rule.above:
        mend = f"set above to at most {1 - 1 / (1 + count):.4f} in a policy, or --without copied"
        what = f"{count} held-out pictures cannot make it as sure as {rule.above:g}"
        raise BadInput(what, where="copied", mend=mend)
    return CopyDetector(learned)


@dataclass(frozen=True, eq=False)
class NudityDetector:
    """Open-NSFW's own last layer: how sure it is that a picture is not safe for work."""

    content: bytes

    @property
    def name(self) -> str:
        """As in the policy."""
        return Nudity().limit.detector

    @property
    def version(self) -> str:
        """The digest of what is really run."""
        return f"opennsfw-{files.digest(self.content)[:8]}"

    def __call__(self, pictures: Sequence[Seen]) -> list[Finding]:
        """One number a picture; pictures may differ in size."""
        session = opened_session(self.content, NSFW_FILE)
        output = session.get_outputs()[0].name
        network = NsfwFeatures(lambda x: np.asarray(session.run([output], {INPUT: x})[0]))
        findings = []
        for picture in pictures:
            safe, unsafe = network(torch.from_numpy(picture.pixels[None].copy()))[0].tolist()
            sound = abs(safe + unsafe - 1) < 1e-3
            findings.append(Finding(unsafe if sound else float("nan"), "sensitive content"))
        return findings


@dataclass(frozen=True, eq=False)
class CopyDetector:
    """How near to one training picture, judged by real pictures that the model never saw.

    The measure is that of `metrics.copies`, in pixels: distance to the nearest over that to the 20
    nearest. The score is 1 less the conformal p-value: (1 + held-out pictures as near) / (1 + all).
    """

    learned: Learned

    @property
    def name(self) -> str:
        """As in the policy."""
        return Copied().limit.detector

    @property
    def version(self) -> str:
        """As in the policy."""
        return Copied.version

    def __call__(self, pictures: Sequence[Seen]) -> list[Finding]:
        """Pictures of any size: they are brought to that of the data."""
        shape = self.learned.train.shape[1:]
        asked = torch.stack([_like(torch.from_numpy(p.pixels.copy()), shape) for p in pictures])
        usual = self._ratios(self.learned.held)
        near = self._ratios(asked)
        findings = []
        for row in range(len(pictures)):
            ratio, original = near.get(row, (float("inf"), -1))
            as_near = sum(held <= ratio for held, _ in usual.values())
            score = 1 - (1 + as_near) / (1 + len(self.learned.held)) if original >= 0 else 0.0
            score = 1.0 if ratio < SAME else score
            findings.append(Finding(score, f"nearest to training row {original}" * (score > 0.9)))
        return findings

    def _ratios(self, asked: Tensor) -> dict[int, tuple[float, int]]:
        """Ratio and nearest row of all but those farther than nearly every held-out picture."""
        held, train = self.learned.held, self.learned.train
        level = 1 - 0.5 / len(held)
        found: Copies = copies(
            *((part, shrunk(part).flatten(1)) for part in (asked, train, held)),
            level=level,
            flips=self.learned.flips,
        )
        pairs = [pair for pair in found.pairs if pair.seen == "pixels"]
        return {pair.sample: (pair.ratio, pair.original) for pair in pairs}


def _like(pixels: Tensor, shape: Sequence[int]) -> Tensor:
    """uint8 (1 or 3, h, w) in the channels and at the size of the data's pictures."""
    channels, height, width = shape
    if len(pixels) != channels:
        pixels = pixels.expand(3, -1, -1) if channels == 3 else _grey(pixels)
    if pixels.shape[1:] == (height, width):
        return pixels
    return interpolate(pixels[None], (height, width), mode="bilinear", antialias=True)[0]


def _grey(pixels: Tensor) -> Tensor:
    """Rec. 601, as Pillow makes grey of colour."""
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (pixels.float() * weights).sum(0, keepdim=True).round().to(torch.uint8)
