"""Detectors in a child: whatever becomes of it, an answer in time, believed only if sound."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import faulty_detectors
import numpy as np
import pytest
from faulty_detectors import FAULTS

from unmist.guard.detector import Called, Finding, Seen, pixel_digest
from unmist.guard.verdict import Limit, Passed, Refused, decided
from unmist.guard.watched import CHUNK, Broken, answers_of, watched

LIMIT = Limit("faulty", "v1", 0.5, 0.4)
LONG = Limit("faulty", "v1", 0.5, 20.0)


def seen(count=2):
    return [Seen(np.full((1, 4, 4), number, np.uint8)) for number in range(count)]


def verdicts(detector, limit, pictures):
    answers = answers_of(detector, limit, pictures)
    assert len(answers) == len(pictures)
    digests = [pixel_digest(picture.pixels) for picture in pictures]
    return [decided(d, [limit], [a]) for d, a in zip(digests, answers, strict=True)]


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_detector_lets_nothing_out(name):
    """Fails if one of the faults gives a verdict that publishes, an exception or no reason."""
    faulty_detectors.OPEN.update(faulty_detectors.open_now())
    start = time.monotonic()
    (verdict,) = verdicts(FAULTS[name], LIMIT, seen(1))
    assert isinstance(verdict, Refused)
    assert all(verdict.reasons)
    assert time.monotonic() - start < 20


def test_there_are_enough_faults():
    """Fails if the list of faults is cut short."""
    assert len(FAULTS) >= 30


def test_a_sound_detector_is_believed():
    """Fails if scores are mixed up, or reasons are lost, also in several children."""
    pictures = seen(CHUNK + 3)
    sound = Called("faulty", "v1", lambda pixels: float(pixels.max()) / 255)
    answers = answers_of(sound, LONG, pictures)
    assert [answer.score for answer in answers] == [n / 255 for n in range(CHUNK + 3)]
    assert all(isinstance(v, Passed) for v in verdicts(sound, LONG, pictures[:2]))
    one = answers_of(Named(), LONG, pictures[:1])
    assert one[0].reason == "as told"


class Named:
    name, version = "faulty", "v1"

    def __call__(self, pictures):
        return [Finding(np.float32(0.25), "as told") for _ in pictures]


@pytest.mark.parametrize("how", ["raise", "kill", "hang", "nan"])
def test_only_the_guilty_picture_is_refused(how):
    """Fails if one picture that breaks the detector takes the others with it, or goes free."""

    def call(pixels):
        if pixels.max() == 1:
            if how == "raise":
                raise ValueError
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "hang":
                time.sleep(60)
            return math.nan
        return 0.0

    limit = Limit("faulty", "v1", 0.5, 1.0) if how == "hang" else LONG
    kinds = [type(v) for v in verdicts(Called("faulty", "v1", call), limit, seen(3))]
    assert kinds == [Passed, Refused, Passed]


def test_what_a_child_prints_does_not_mix_with_results(capfd):
    """Fails if a detector's print reaches stdout, where programs read."""
    assert watched(lambda: print("here I am", flush=True) or 7, 20.0) == 7
    assert watched(lambda: os.write(1, b"and here\n"), 20.0) == 9
    assert capfd.readouterr() == ("", "here I am\nand here\n")


@pytest.mark.parametrize("result", [{1, 2}, object(), float("nan")])
def test_what_is_no_json_is_broken(result):
    """Fails if a result of another kind hangs the parent or comes through."""
    with pytest.raises(Broken):
        watched(lambda: result, 20.0)


def test_a_child_dies_with_its_parent(tmp_path):
    """Fails if a hung detector outlives a killed publish, and holds its folder."""
    pid = tmp_path / "pid"
    code = (
        "import os, sys, time; from pathlib import Path; from unmist.guard.watched import watched\n"
        f"watched(lambda: (Path({str(pid)!r}).write_text(str(os.getpid())), time.sleep(60)), 60.0)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        while not (pid.exists() and pid.read_text()):
            time.sleep(0.02)
        parent.kill()
    until = time.monotonic() + 10
    while alive(int(pid.read_text())) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(int(pid.read_text()))


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"
