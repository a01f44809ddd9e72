"""Train in forked children that are killed at random instants; run as a script by test_resume.

A warmed parent forks, so that a kill falls into training or saving and not into importing torch.
"""

import json
import os
import random
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

from unmist.networks.unet import UNet
from unmist.run.recipe import Data, Recipe, Saving
from unmist.training.augment import Augment
from unmist.training.loop import Schooling
from unmist.workflows.train import Order, train


def recipe(source: Path) -> Recipe:
    return Recipe(
        data=Data(source=str(source)),
        network=UNet(width=8, levels=(1, 2), blocks=(1, 1), attention=(), dropout=0.1),
        training=Schooling(samples=480, batch=8, flip=True, micro=4),
        augment=Augment(share=0.2),
        saving=Saving(checkpoint=16, look=1000, held=160),
    )


def child(source: Path, to: Path) -> None:
    """Never returns: exit code 0 where the run came to its end."""
    code = 1
    try:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        train(recipe(source), to, Order(threads=1))
        code = 0
    finally:
        os._exit(code)


def fork(source: Path, to: Path) -> int:
    pid = os.fork()
    if pid == 0:
        child(source, to)
    return pid


def killed_run(source: Path, to: Path, chance: random.Random, kills: int, sig: int) -> int:
    """Kill the run until it had `kills` of them or ended; then let it end. How many it took."""
    done = 0
    while True:
        pid = fork(source, to)
        if done < kills:
            time.sleep(chance.uniform(0.0, 0.35))
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                os.kill(pid, sig)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                done += code != 0
            continue
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code == 0, f"the run did not resume after {done} kills: exit {code}"
        return done


def main(folder: Path, seed: int, runs: int, kills: int, sig: int) -> None:
    torch.set_num_threads(1)
    source, chance = folder / "data.npz", random.Random(seed)
    train(
        replace(recipe(source), saving=Saving(checkpoint=240, look=1000)),
        folder / "warm",
        Order(threads=1),
    )
    train(recipe(source), folder / "whole", Order(threads=1))
    taken = [killed_run(source, folder / f"run{i}", chance, kills, sig) for i in range(runs)]
    json.dump({"seed": seed, "kills": taken}, sys.stdout)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    main(Path(sys.argv[1]), *map(int, sys.argv[2:6]))
