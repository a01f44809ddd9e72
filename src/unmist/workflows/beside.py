"""A lesson beside a run, taught by the training step: its length, its checkpoints, its end."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from unmist.run import checkpoint
from unmist.run.stop import Stop, Stopped
from unmist.training.loop import Learner, Stats

__all__ = ["EVERY", "continued", "fitted_length", "stepping"]

EVERY = 20_000  # samples between two checkpoints


def fitted_length(learner: Learner, budget: float) -> int:
    """Whole batches that fit into so many seconds, by a few updates that are undone."""
    tensors, state = learner.tensors(), learner.state()
    kept = {name: {k: v.clone() for k, v in part.items()} for name, part in tensors.items()}
    learner.advance()
    began, first = time.perf_counter(), learner.seen
    while time.perf_counter() - began < min(2.0, budget / 4):
        learner.advance()
    speed = (learner.seen - first) / (time.perf_counter() - began)
    learner.restore(kept, state)
    batch = learner.schooling.batch
    return max(1, int(0.9 * budget * speed / batch)) * batch


def continued(learner: Learner, state: Path, budget: float | None) -> Learner:
    """As it was when it was stopped, of the length it then had; or begun, its length fitted."""
    found = checkpoint.latest(state)
    if found is not None:
        tensors, told = checkpoint.read(found.path)
        learner.schooling = replace(learner.schooling, samples=int(str(told["samples"])))
        learner.restore(tensors, told)
    elif budget is not None:
        learner.schooling = replace(learner.schooling, samples=fitted_length(learner, budget))
    return learner


def stepping(
    learner: Learner, state: Path, stop: Stop, every: int = EVERY
) -> Iterator[tuple[Stats, float]]:
    """Update, report, save: each update with the samples a second."""
    clock, first, batch = time.perf_counter(), learner.seen, learner.schooling.batch
    while not learner.done:
        stats = learner.advance()
        if stats.seen // every > (stats.seen - batch) // every or stop.number:
            told = {**learner.state(), "samples": learner.schooling.samples}
            checkpoint.save(state, learner.seen, learner.tensors(), told)
        if stop.number:
            raise Stopped(stop.number, state.parent)
        yield stats, (learner.seen - first) / (time.perf_counter() - clock)
