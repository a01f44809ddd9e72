"""SIGTERM and Ctrl-C finish the step and save; a second one ends at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from unmist.base.faults import Fault

__all__ = ["Stop", "Stopped", "stoppable"]


class Stopped(Fault):
    """The run was asked to stop, has saved, and can go on later. Exit code 128 + the signal."""

    def __init__(self, number: int, where: object) -> None:
        self.code = 128 + number
        super().__init__(
            "stopped and saved", where=where, mend="the same command goes on from here"
        )


@dataclass
class Stop:
    """Which signal came, 0 for none."""

    number: int = 0

    def __call__(self, number: int, frame: object) -> None:
        """The handler."""
        del frame
        if self.number:
            os._exit(128 + number)
        self.number = number


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Catch both signals while inside; the handlers from before come back afterwards."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread may handle signals
        return
    before = {n: signal.signal(n, stop) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
