"""Volumes a second in training against MONAI's DiffusionModelUNet, at 32x32x32 and 64x64x64.

    python benchmarks/volumes.py [--quick] [--json]

Pairs of networks, in each both sides within 10 % in parameters and in multiply-adds a sample:

- `theirs`: MONAI's network as it comes (channels 32, 64, 64, 64, two residual blocks a level,
  attention in the two coarsest) and a U-Net of ours fitted to it, unfolded like it;
- `ours`: our U-Net at width 32 and a DiffusionModelUNet fitted to it (channels 8 ... 72). At our
  default width for solids, 24, no network of theirs has as few operations: eight channels at full
  size cost more than all of ours, which works on blocks of 2x2x2 cells;
- `large`, at 64x64x64: the same two, ours attending at its coarsest level alone, which makes the
  operations equal there.

MONAI runs contiguous and channels-last, with torch's fused attention; the faster layout counts.
Rounds, ratios, counting and the load are those of throughput.py: all sides of a pair take turns, a
training step is forward, mean squared error, backward and AdamW. Batch 4 (2 at 64), two threads,
float32. `peak` is the most memory that one process of each side took for two training steps,
measured apart. Target: at least as many volumes a second.

Needs MONAI and einops without their requirements, in a folder of their own that PYTHONPATH names:
pip install --no-deps --target FOLDER monai einops
"""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import torch

from throughput import THREADS, Side, compare, measured, run, show, sizes
from unmist.core.condition import Signals, Sockets
from unmist.networks.unet import UNet
from unmist.nn.memory import keep_freed_memory

TARGET = 1.0
MINE = {
    "theirs": UNet(width=52, levels=(1, 1, 2, 2), blocks=(2, 2, 2, 1), attention=(2, 3), fold=1),
    "ours": UNet(width=32),
    "large": UNet(width=32, attention=(2,)),
}
THEIRS = {  # channels, residual blocks a level, groups of a norm
    "theirs": ((32, 64, 64, 64), 2, 32),
    "ours": ((8, 8, 24, 48, 72), 1, 8),
    "large": ((8, 8, 24, 48, 72), 1, 8),
}


def ours(pair, edge, batch):
    shape = (1, edge, edge, edge)
    net = MINE[pair].build(shape, Sockets())
    clock = torch.linspace(-4, 4, batch)

    def call(x):
        return net(x, clock[: len(x)], Signals())

    size = measured(net, call, shape)
    return [Side("unmist", call, net, torch.contiguous_format, size, (batch, *shape))]


def peer(pair, edge, batch, layouts=(torch.contiguous_format, torch.channels_last_3d)):
    shape, sides = (1, edge, edge, edge), []
    for layout in layouts:
        net = monai_unet(*THEIRS[pair]).to(memory_format=layout)
        times = torch.linspace(0, 999, batch).long()

        def call(x, net=net, times=times):
            return net(x, times[: len(x)])

        label = "contiguous" if layout == torch.contiguous_format else "channels-last"
        size = measured(net, call, shape)
        sides.append(Side(f"MONAI {label}", call, net, layout, size, (batch, *shape)))
    return sides


def monai_unet(channels, blocks, groups):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from monai.networks.nets import DiffusionModelUNet
    last = len(channels) - 1
    return DiffusionModelUNet(
        3, 1, 1, num_res_blocks=blocks, channels=channels, norm_num_groups=groups,
        attention_levels=[level >= last - 1 for level in range(last + 1)],
        num_head_channels=8, use_flash_attention=True,
    )  # fmt: skip


def peak(side, pair, edge, batch):
    """MiB that a process of its own needs for two training steps of one side."""
    command = [sys.executable, __file__, "--peak", side, pair, str(edge), str(batch)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return round(float(told.split()[-1]))


def taken(side, pair, edge, batch):
    """In that process: two steps, and the most memory it ever had, in MiB."""
    torch.set_num_threads(THREADS)
    made = (ours if side == "unmist" else peer)(pair, int(edge), int(batch))[0]
    for _ in range(2):
        made.net.train()
        made.learn()
        made.update()
    told = Path("/proc/self/status").read_text()  # getrusage counts what the parent had, too
    print(next(float(line.split()[1]) for line in told.splitlines() if "VmHWM" in line) / 1024)


def main():
    if "--peak" in sys.argv:
        taken(*sys.argv[2:])
        return
    quick, machine = "--quick" in sys.argv, "--json" in sys.argv
    try:
        monai_unet(*THEIRS["ours"])
    except ImportError as error:
        print(json.dumps({"claim": "volumes: a peer is missing", "value": str(error.name),
                          "target": "monai and einops", "meets": False}))  # fmt: skip
        return
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    keep_freed_memory()
    cells = [("ours", 32, 4)] if quick else [("ours", 32, 4), ("theirs", 32, 4), ("large", 64, 2)]
    for pair, edge, batch in cells:
        mine, theirs = ours(pair, edge, batch), peer(pair, edge, batch)
        name = f"{pair} {edge}"
        lines = list(sizes({name: (mine, theirs)}))
        run([*mine, *theirs], 10 if quick else 120)
        found = compare(name, mine[0], theirs, "learn", TARGET, "volumes/s")
        found |= {f"peak_{side}": peak(side, pair, edge, batch) for side in ("unmist", "MONAI")}
        show(lines, [found], machine)


if __name__ == "__main__":
    main()
