"""Detectors that fail, each in its own way: none of them may let a picture out."""

import ctypes
import faulthandler
import os
import resource
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unmist.guard.detector import Finding
from unmist.guard.network import OnnxNetwork
from unmist.guard.policy import Network


@dataclass(frozen=True)
class Fault:
    """A detector whose call, or version, is wrong."""

    call: object
    version: str = "v1"
    name: str = "faulty"

    def __call__(self, pictures):
        return self.call(pictures)


class NoVersion:
    name = "faulty"

    @property
    def version(self):
        raise RuntimeError("which version am I?")

    def __call__(self, pictures):
        return scored(0.0)(pictures)


def scored(value):
    return lambda pictures: [Finding(value) for _ in pictures]


def raising(error):
    def call(pictures):
        raise error

    return call


def midway(pictures):
    yield Finding(0.0)
    raise ValueError("half way")


def deaf(pictures):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)


def busy(pictures):
    while True:
        pass


def crashing(pictures):
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


OPEN = set()
"""Descriptors that were open before: not the way to the parent."""


def open_now():
    return {int(name) for name in os.listdir("/proc/self/fd")}


def whispered(content):
    """Into the parent's ear, past the code that is there for it."""
    for number in open_now() - OPEN:
        with suppress(OSError):
            os.write(number, content)


def talking(pictures):
    whispered(b'{"result": {"version": "v1", "findings": "none"}}')
    os._exit(0)


def flooding(pictures):
    whispered(b"x" * 60_000)
    time.sleep(60)


def stopped(pictures):
    os.kill(os.getpid(), signal.SIGSTOP)


def big(pictures):
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))
    return [Finding(float(len(bytearray(1 << 30)))) for _ in pictures]


def deep(pictures):
    return deep(pictures)


RULE = Network(name="faulty", file="x.onnx", sha256="0" * 64, above=0.5)
FAULTS = {
    "raises": Fault(raising(ValueError("no"))),
    "exits": Fault(raising(SystemExit(0))),
    "interrupts": Fault(raising(KeyboardInterrupt())),
    "out of memory": Fault(raising(MemoryError())),
    "really out of memory": Fault(big),
    "NaN": Fault(scored(float("nan"))),
    "numpy NaN": Fault(scored(np.float32("nan"))),
    "infinite": Fault(scored(float("inf"))),
    "minus infinite": Fault(scored(float("-inf"))),
    "None": Fault(scored(None)),
    "just above 1": Fault(scored(1.0001)),
    "below 0": Fault(scored(-0.1)),
    "text": Fault(scored("0.1")),
    "bool": Fault(scored(False)),
    "a list": Fault(scored([0.1])),
    "an array": Fault(scored(np.array([0.1, 0.2]))),
    "complex": Fault(scored(0.1j)),
    "no scores": Fault(lambda pictures: []),
    "too few": Fault(lambda pictures: scored(0.0)(pictures[1:])),
    "too many": Fault(lambda pictures: scored(0.0)([*pictures, 1])),
    "nothing": Fault(lambda pictures: None),
    "bare numbers": Fault(lambda pictures: [0.1 for _ in pictures]),
    "raises half way": Fault(midway),
    "hangs": Fault(lambda pictures: time.sleep(60)),
    "hangs and is deaf": Fault(deaf),
    "is busy": Fault(busy),
    "stops": Fault(stopped),
    "is killed": Fault(lambda pictures: os.kill(os.getpid(), signal.SIGKILL)),
    "leaves": Fault(lambda pictures: os._exit(0)),
    "crashes": Fault(crashing),
    "talks nonsense": Fault(talking),
    "floods": Fault(flooding),
    "recurses": Fault(deep),
    "file is missing": Fault(lambda pictures: Path("no/weights.bin").read_bytes()),
    "file is another": Fault(lambda pictures: OnnxNetwork(RULE, b"other weights")),
    "another version": Fault(scored(0.0), version="v2"),
    "no version": NoVersion(),
}
