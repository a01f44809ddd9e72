"""Detectors at work in a child process: whatever becomes of it, the parent has an answer in time.

A detector may raise, hang, be killed, eat the memory or say nonsense. None of this is believed or
waited for; it becomes an answer without a score, which no gate lets through.
"""

import ctypes
import json
import math
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch

from unmist.base.faults import Fault
from unmist.guard.detector import Detector, Seen, pixel_digest
from unmist.guard.verdict import Answer, Limit

__all__ = ["Broken", "answers_of", "watched"]

MOST = 1 << 20
"""Bytes that a child may say."""
CHUNK = 32
"""Pictures that share one child, as long as none of them breaks it."""
_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG


class Broken(Exception):
    """Why a child gave no result, in a few words: `why`."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


def answers_of(detector: Detector, limit: Limit, pictures: Sequence[Seen]) -> tuple[Answer, ...]:
    """One answer a picture, in their order, never more than `limit.seconds` for each of them.

    Pictures are shown many at a time; where a child breaks, each of them again alone, so that only
    the guilty one is left without a score.
    """
    found: list[Answer] = []
    for start in range(0, len(pictures), CHUNK):
        found += _some(detector, limit, pictures[start : start + CHUNK])
    return tuple(found)


def _some(detector: Detector, limit: Limit, pictures: Sequence[Seen]) -> list[Answer]:
    try:
        return _asked(detector, limit, pictures)
    except Broken as fault:
        if len(pictures) == 1:
            return [_missing(limit, pictures[0], fault)]
        return [answer for one in pictures for answer in _some(detector, limit, [one])]


def _missing(limit: Limit, picture: Seen, fault: Broken) -> Answer:
    """The answer of a detector that gave none."""
    digest = pixel_digest(picture.pixels)
    return Answer(limit.detector, limit.version, digest, math.nan, 0.0, fault.why)


def _asked(detector: Detector, limit: Limit, pictures: Sequence[Seen]) -> list[Answer]:
    """The answers of one child. Raises Broken."""
    start = time.monotonic()
    said = watched(lambda: _findings(detector, pictures), limit.seconds * len(pictures))
    each = (time.monotonic() - start) / len(pictures)
    match said:
        case {"version": str(version), "findings": list(rows)} if len(rows) == len(pictures):
            pass
        case {"findings": list(rows)}:
            raise Broken(f"{len(rows)} scores for {len(pictures)} pictures")
        case _:
            raise Broken("its answer has another form")
    answers = []
    for picture, (score, reason) in zip(pictures, rows, strict=True):
        digest = pixel_digest(picture.pixels)
        value = math.nan if score is None else score
        answers.append(Answer(detector.name, version, digest, value, each, reason))
    return answers


def _findings(detector: Detector, pictures: Sequence[Seen]) -> dict[str, object]:
    """In the child: the findings as plain values, whatever number type they came in."""
    rows = []
    for finding in detector(pictures):
        score, reason = finding
        if isinstance(score, bool | np.bool_) or not isinstance(score, int | float | np.floating):
            raise TypeError("a score is a number")
        number = float(score)
        rows.append([number if math.isfinite(number) else None, str(reason)[:200]])
    return {"version": str(detector.version), "findings": rows}


def watched(work: Callable[[], object], seconds: float) -> object:
    """What `work` returns, as JSON knows it, from a child that lives at most `seconds`.

    Raises Broken where it raised, was killed, took longer or said something else. What it prints
    goes to stderr; it has none of its parent's open files, and dies with it.
    """
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the parent's threads are not needed
        child = os.fork()
    if child == 0:
        _work(work, write)
    os.close(write)
    try:
        content = _heard(read, time.monotonic() + seconds)
    finally:
        os.close(read)
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return _result(content, code, seconds)


def _work(work: Callable[[], object], write: int) -> None:
    """The child's whole life."""
    code = 1
    try:
        with suppress(OSError, AttributeError):  # where there is no prctl, a child outlives us
            ctypes.CDLL(None).prctl(_WITH_PARENT, signal.SIGKILL)
        os.closerange(3, write)  # above all the lock of the folder, which must not outlive us
        os.closerange(write + 1, os.sysconf("SC_OPEN_MAX"))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(2, 1)
        sys.stdout = sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - till the end
        torch.set_num_threads(1)  # a pool of threads does not outlive a fork
        try:
            said: object = {"result": work()}
        except Fault as fault:
            said = {"raised": f"{fault}"[:200]}
        except BaseException as error:  # SystemExit and MemoryError are answers too
            said = {"raised": type(error).__name__}
        content = memoryview(json.dumps(said, allow_nan=False).encode())
        while content:
            content = content[os.write(write, content) :]
        code = 0
    finally:
        os._exit(code)


def _heard(read: int, until: float) -> bytes | None:
    """All that the child says before it closes its end; None where time or room is over."""
    content = b""
    while len(content) <= MOST:
        ready, _, _ = select.select([read], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return None
        piece = os.read(read, 1 << 16)
        if not piece:
            return content
        content += piece
    return None


def _result(content: bytes | None, code: int, seconds: float) -> object:
    if content is None:
        raise Broken(f"gave no answer within {seconds:g} s")
    try:
        said = json.loads(content)
    except ValueError:
        ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise Broken(f"ended with {ended} and no answer") from None
    match said:
        case {"raised": what}:
            raise Broken(f"raised {what}")
        case {"result": result}:
            return result
        case _:
            raise Broken("its answer has another form")
