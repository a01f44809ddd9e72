"""Publish in forked children that are killed at random instants; run as a script by its test.

A warmed parent forks, so that a kill falls into judging and writing and not into importing.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from unmist.base import files
from unmist.guard.detector import Called
from unmist.guard.ledger import read_ledger
from unmist.guard.policy import Own, Policy
from unmist.run.picture import save_picture
from unmist.workflows.audit import audit
from unmist.workflows.publish import Release, publish

PICTURES, BAD = 4, 1


def own(pixels: np.ndarray) -> float:
    """Those of the pictures that are bright are refused."""
    return float(pixels.mean() > 128)


def release(folder: Path, to: Path) -> Release:
    return Release(
        pictures=(folder / "pictures",),
        to=to,
        policy=Policy("story", (Own(name="bright", version="1", above=0.5),), ()),
        own=(Called("bright", "1", own),),
    )


def make(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for number in range(PICTURES):
        pixels = draw.integers(0, 100, (1, 24, 24), dtype=np.uint8) + 150 * (number < BAD)
        save_picture(folder / "pictures" / f"{number}.png", pixels.astype(np.uint8), {"seed": 1})


def check(to: Path) -> None:
    """What anybody can see at this instant: whole, judged pictures with paper and line."""
    lines = {str(line.what.get("file")): line.what for line in read_ledger(to).lines}
    for path in to.glob("[!.]*.png"):
        content = path.read_bytes()
        with Image.open(BytesIO(content)) as image:
            assert own(np.asarray(image)) == 0.0, f"{path.name} was not to be seen"
        what = lines[path.name]
        assert files.digest(content) == what["sha256"], path.name
        assert files.digest(to / f"{path.name}.json") == what["paper"], path.name


def finished(folder: Path, to: Path, sources: dict[str, bytes]) -> None:
    """Nothing lost: each source stands, and is published or aside, once."""
    found = audit(to)
    assert not found.faults, found.faults
    assert not found.notes, found.notes
    assert found.published == PICTURES - BAD, found
    assert len(list(to.glob("[!.]*.png"))) == PICTURES - BAD
    aside = to.with_name(f"{to.name}-quarantine")
    kept = {path.read_bytes() for path in aside.glob("[!.]*.png")}
    assert kept == {sources[f"{number}.png"] for number in range(BAD)}
    assert {p.name: p.read_bytes() for p in (folder / "pictures").iterdir()} == sources


def child(folder: Path, to: Path) -> None:
    code = 1
    try:
        os.setpgid(0, 0)
        publish(release(folder, to))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def killed(folder: Path, to: Path, chance: random.Random, longest: float) -> int:
    """Publish until it ends, killed on the way: how many kills it took."""
    kills = 0
    while True:
        pid = os.fork()
        if pid == 0:
            child(folder, to)
        time.sleep(chance.uniform(0.0, 0.8 * longest) * (1 + kills // 8))
        if os.waitpid(pid, os.WNOHANG)[0]:
            return kills
        os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code == 0:
            return kills
        assert code == -signal.SIGKILL, f"the publish ended with {code}"
        kills += 1
        check(to)


def main(folder: Path, seed: int, wanted: int) -> None:
    make(folder)
    sources = {path.name: path.read_bytes() for path in (folder / "pictures").iterdir()}
    start = time.monotonic()
    publish(release(folder, folder / "warm"))
    longest, chance = time.monotonic() - start, random.Random(seed)
    kills = runs = 0
    while kills < wanted:
        to = folder / f"out{runs}"
        kills += killed(folder, to, chance, longest)
        publish(release(folder, to))
        check(to)
        finished(folder, to, sources)
        runs += 1
    json.dump({"seed": seed, "kills": kills, "runs": runs}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
