"""What a picture costs by its size and by the batch, and the memory, beside diffusers' U-Net.

    python benchmarks/costs.py [--quick] [--json]

The pair `ours` of throughput.py (our default U-Net, a UNet2DModel of as many parameters and
operations) at 16, 32, 64 and 128 pixels, batch 16, and at 32 pixels in batches of 1, 4, 16, 64 and
256: milliseconds a picture of a forward pass and of a training step, the least of the rounds, all
sides in turns; and the most memory that a process of its own had for two training steps. diffusers
runs in both layouts, the faster counts. Two threads, float32. Target: never more than the peer.
"""

import json
import subprocess
import sys
from pathlib import Path

import torch

import throughput
from throughput import THREADS, Side, measured, run, unet_2d, whole
from unmist.core.condition import Signals, Sockets
from unmist.networks.unet import UNet
from unmist.nn.memory import keep_freed_memory

CELLS = [(16, 16), (32, 16), (64, 16), (128, 16), (32, 1), (32, 4), (32, 64), (32, 256)]
EQUAL = ((16, 32, 64, 128, 128), 1, (2, 3), 16)


def ours(edge, batch):
    shape = (3, edge, edge)
    net, clock = UNet().build(shape, Sockets()), torch.linspace(-4, 4, batch)

    def call(x):
        return net(x, clock[: len(x)], Signals())

    size = measured(net, call, shape)
    return [Side("unmist", call, net, torch.contiguous_format, size, (batch, *shape))]


def theirs(edge, batch):
    sides, times = [], torch.linspace(0, 999, batch).long()
    for layout in (torch.contiguous_format, torch.channels_last):
        net = unet_2d(*EQUAL).to(memory_format=layout)

        def call(x, net=net):
            return net(x, times[: len(x)]).sample

        size = measured(net, call, (3, edge, edge))
        sides.append(Side("diffusers", call, net, layout, size, (batch, 3, edge, edge)))
    return sides


def peak(side, edge, batch):
    """MiB."""
    command = [sys.executable, __file__, "--peak", side, str(edge), str(batch)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return round(float(told.split()[-1]))


def taken(side, edge, batch):
    """In that process: two training steps, and the most memory it ever had."""
    torch.set_num_threads(THREADS)
    made = (ours if side == "unmist" else theirs)(int(edge), int(batch))[0]
    for _ in range(2):
        made.net.train()
        made.learn()
        made.update()
    told = Path("/proc/self/status").read_text()
    print(next(float(line.split()[1]) for line in told.splitlines() if "VmHWM" in line) / 1024)


def cell(edge, batch, seconds):
    """Two claims of one size and batch."""
    mine, others = ours(edge, batch), theirs(edge, batch)
    run([*mine, *others], seconds)
    memory = {f"peak_{side}": peak(side, edge, batch) for side in ("unmist", "diffusers")}
    for what, word in (("infer", "forward pass"), ("learn", "training step")):
        own = 1e3 * min(whole(mine[0], what)) / batch
        peer = min(1e3 * min(whole(side, what)) / batch for side in others)
        yield {
            "claim": f"costs: {word}, {edge} px, batch {batch}: ms a picture over diffusers'",
            "value": round(own / peer, 3),
            "target": 1.0,
            "meets": own <= peer,
            "ours": round(own, 3),
            "peer": round(peer, 3),
            "load": throughput.LOAD,
            **memory,
        }


def main():
    if "--peak" in sys.argv:
        taken(*sys.argv[2:])
        return
    quick = "--quick" in sys.argv
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    keep_freed_memory()
    for edge, batch in CELLS[:1] + CELLS[4:5] if quick else CELLS:
        for line in cell(edge, batch, 3 if quick else 15):
            print(json.dumps(line) if "--json" in sys.argv else line, flush=True)


if __name__ == "__main__":
    main()
