"""Pictures a second at 32x32x3 against diffusers' UNet2DModel, and the share of the machine used.

    python benchmarks/throughput.py [--quick] [--json]

Two pairs of networks, in each both sides within 10 % in parameters and in multiply-adds a sample:

- `ours`: our default U-Net, and a UNet2DModel fitted to it (channels 16 … 128, one layer a block);
- `theirs`: the network of diffusers' training tutorial, channels (128, 128, 256, 256, 512, 512) and
  two layers a block, at a quarter of its width, and a U-Net of ours fitted to it;
- `ddp`, `azula`: our default U-Net, and the U-Nets of denoising-diffusion-pytorch (dim 16, its
  multiples 1, 1, 3, 6, 11) and azula (channels 16, 32, 80, 208; the time's embedding left out)
  fitted to it, where they are installed: pip install --no-deps --target FOLDER
  denoising-diffusion-pytorch einops ema-pytorch pytorch-fid accelerate azula, FOLDER in PYTHONPATH.

The peer runs contiguous and channels-last; the faster of the two counts. All sides of a pair take
turns within a round, so that a busy machine is busy for all: a ratio is the median over rounds,
its minimum and maximum beside it. Batch 64, two threads, float32. Inference is a forward pass
without gradients; training is forward, mean squared error, backward and AdamW. The
process keeps freed memory (`unmist.nn.memory`), which serves both sides. A busy machine makes all
of them wait, but not alike: `load` is its load average before the start; above about 0.3 the
figures are low and scattered, which the minimum and maximum show.

Share of the machine: (operations of the network / its best time) over the best rate of one
convolution. That rate is measured in the same rounds: the fastest of five 3x3 convolutions with
bias (64 and 128 channels at 16 px, 128 and 256 at 8 px, 256 at 4 px; batch 64, channels-last), best
of all rounds, forward for inference and forward with backward (three times the operations) for
training. Operations are two a multiply-add of convolutions, linear layers and attention; nothing
else a network does counts as work. The optimizer's time is in the training ratio, not in the share.
"""

import json
import os
import sys
import time
import warnings
from dataclasses import dataclass, field
from statistics import median

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["DIFFUSERS_VERBOSITY"] = "error"

import torch
from torch import nn

from unmist.core.condition import Signals, Sockets
from unmist.networks.count import Count
from unmist.networks.unet import UNet
from unmist.nn.attention import forward_mode
from unmist.nn.memory import keep_freed_memory

BATCH, SHAPE, THREADS = 64, (3, 32, 32), 2
CONVOLUTIONS = ((64, 16), (128, 16), (128, 8), (256, 8), (256, 4))
LOAD = round(os.getloadavg()[0], 2)
TARGET = {"ratio": 1.3, "share": 0.75}


@dataclass
class Side:
    """One network in one layout, and the seconds it took, a number a round."""

    name: str
    call: object
    net: nn.Module
    layout: torch.memory_format
    size: Count
    batch: tuple = (BATCH, *SHAPE)
    seconds: dict = field(default_factory=dict)

    def __post_init__(self):
        self.x = torch.randn(self.batch).to(memory_format=self.layout)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=1e-5)

    def infer(self):
        with torch.no_grad():
            self.call(self.x)

    def learn(self):
        (self.call(self.x) - self.x).square().mean().backward()

    def update(self):
        self.optimizer.step()
        self.optimizer.zero_grad()

    def round(self):
        self.net.eval()
        note(self.seconds, "infer", self.infer)
        self.net.train()
        note(self.seconds, "learn", self.learn)
        note(self.seconds, "update", self.update)


def note(seconds, what, work):
    start = time.perf_counter()
    work()
    seconds.setdefault(what, []).append(time.perf_counter() - start)


class Convolution:
    """One convolution of the machine's own library, to know what the machine can do."""

    def __init__(self, width, size):
        self.layer = nn.Conv2d(width, width, 3, padding=1)
        x = torch.randn(BATCH, width, size, size).to(memory_format=torch.channels_last)
        self.x, self.back = x.requires_grad_(), torch.randn_like(x)
        self.flops = 2 * BATCH * size**2 * 9 * width**2
        self.seconds = {}

    def infer(self):
        with torch.no_grad():
            self.layer(self.x)

    def learn(self):
        self.layer(self.x).backward(self.back)

    def round(self):
        note(self.seconds, "infer", self.infer)
        note(self.seconds, "learn", self.learn)


def measured(net, call, shape=SHAPE):
    """Parameters and multiply-adds of one sample, by the same counter for both sides."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), forward_mode(), FlopCounterMode(display=False) as counter:
        call(torch.zeros(1, *shape))
    return Count(sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2)


def ours(settings):
    net = settings.build(SHAPE, Sockets())
    clock = torch.linspace(-4, 4, BATCH)

    def call(x):
        return net(x, clock[: len(x)], Signals())

    return [Side("unmist", call, net, torch.contiguous_format, measured(net, call))]


def peer(channels, layers, attention, groups):
    """A UNet2DModel in both layouts, with the weights of each its own."""
    sides = []
    for layout in (torch.contiguous_format, torch.channels_last):
        net = unet_2d(channels, layers, attention, groups).to(memory_format=layout)
        times = torch.linspace(0, 999, BATCH).long()

        def call(x, net=net, times=times):
            return net(x, times[: len(x)]).sample

        label = "channels-last" if layout == torch.channels_last else "contiguous"
        sides.append(Side(f"diffusers {label}", call, net, layout, measured(net, call)))
    return sides


def fitted(name, build):
    """Another library's network in both layouts; build() -> net, call(net, x)."""
    sides = []
    for layout in (torch.contiguous_format, torch.channels_last):
        net, ask = build()
        net = net.to(memory_format=layout)

        def call(x, net=net, ask=ask):
            return ask(net, x)

        label = "channels-last" if layout == torch.channels_last else "contiguous"
        sides.append(Side(f"{name} {label}", call, net, layout, measured(net, call)))
    return sides


def ddp_unet():
    from peers_training import _library

    net = _library().Unet(dim=16, dim_mults=(1, 1, 3, 6, 11), channels=3)
    times = torch.linspace(0, 999, BATCH).long()
    return net, lambda net, x: net(x, times[: len(x)])


def azula_unet():
    from azula.nn.unet import UNet as Theirs

    net = Theirs(
        3, 3, hid_channels=(16, 32, 80, 208), hid_blocks=(1, 1, 2, 2), mod_features=64, norm="group"
    )
    known = torch.randn(BATCH, 64)
    return net, lambda net, x: net(x, known[: len(x)])


def others():
    """The pairs of what is installed."""
    for name, build in (("ddp", ddp_unet), ("azula", azula_unet)):
        try:
            yield name, (ours(UNet()), fitted(name, build))
        except (ImportError, SystemExit) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)


def unet_2d(channels, layers, attention, groups):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from diffusers import UNet2DModel
    last = len(channels) - 1
    down = [("Attn" if k in attention else "") + "DownBlock2D" for k in range(last + 1)]
    up = [("Attn" if last - k in attention else "") + "UpBlock2D" for k in range(last + 1)]
    return UNet2DModel(
        sample_size=SHAPE[1],
        in_channels=SHAPE[0],
        out_channels=SHAPE[0],
        layers_per_block=layers,
        block_out_channels=channels,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        norm_num_groups=groups,
        attention_head_dim=32,
    )


def pairs(quick):
    equal = peer((16, 32, 64, 128, 128), layers=1, attention=(2, 3), groups=16)
    found = {"ours": (ours(UNet()), equal)}
    if not quick:
        found |= dict(others())
        tutorial = peer((32, 32, 64, 64, 128, 128), layers=2, attention=(4,), groups=32)
        found["theirs"] = (ours(UNet(width=112, levels=(1, 1, 2), blocks=(1, 2, 2))), tutorial)
    return found


def run(sides, seconds):
    """Rounds until the time is spent, two at least; the first, which warms up, is forgotten."""
    start = time.perf_counter()
    for side in sides:
        side.round()
        side.seconds.clear()
    for done in range(1000):
        if done >= 2 and time.perf_counter() - start > seconds:
            break
        for side in sides:
            side.round()


def whole(side, what):
    """Seconds a round of inference, or of a whole training step."""
    if what == "infer":
        return side.seconds["infer"]
    return [a + b for a, b in zip(side.seconds["learn"], side.seconds["update"], strict=True)]


def compare(pair, mine, theirs, what, target=TARGET["ratio"], unit="img/s"):
    best = min(theirs, key=lambda side: median(whole(side, what)))
    mine_at, best_at = whole(mine, what), whole(best, what)
    ratios = [slow / fast for fast, slow in zip(mine_at, best_at, strict=True)]
    words, count = {"infer": "inference", "learn": "training"}, len(mine.x)
    return claim(
        f"{words[what]} {unit} over {best.name.split()[0]}, {pair} size",
        (median(ratios), min(ratios), max(ratios)),
        target,
        ours_per_second=round(count / min(mine_at), 2),
        peer_per_second=round(count / min(best_at), 2),
        peer=best.name,
        rounds=len(ratios),
    )


def share(mine, theirs, convolutions, what):
    passes = 1 if what == "infer" else 3
    rates = [passes * c.flops / min(c.seconds[what]) for c in convolutions]

    def of(side):
        work = 2 * BATCH * passes * side.size.multiply_adds
        return [work / seconds / max(rates) for seconds in side.seconds[what]]

    best_peer = max(max(of(side)) for side in theirs)
    words = {"infer": "inference", "learn": "training"}
    mine_of = of(mine)
    return claim(
        f"share of the convolution rate, {words[what]}, default network",
        (max(mine_of), min(mine_of), max(mine_of)),
        TARGET["share"],
        peer_share=round(best_peer, 3),
        convolution_gflops=round(max(rates) / 1e9, 1),
    )


def claim(name, values, target, **more):
    value, low, high = (round(v, 3) for v in values)
    head = {"claim": name, "value": value, "target": target, "meets": value >= target}
    return head | {"min": low, "max": high, "load": LOAD} | more


def sizes(found):
    for pair, (mine, theirs) in found.items():
        for side in (mine[0], theirs[0]):
            name, size = side.name.split()[0], side.size
            yield f"{pair:9}{name:10}{size.parameters:>12,} parameters", size.multiply_adds
        assert within(mine[0].size, theirs[0].size), f"pair '{pair}' is not matched"


def within(one, other):
    parameters = one.parameters / other.parameters
    work = one.multiply_adds / other.multiply_adds
    return max(abs(parameters - 1), abs(work - 1)) <= 0.1


def main():
    quick, machine = "--quick" in sys.argv, "--json" in sys.argv
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    keep_freed_memory()
    found, convolutions = pairs(quick), [Convolution(*shape) for shape in CONVOLUTIONS]
    lines = list(sizes(found))
    claims = []
    for pair, (mine, theirs) in found.items():
        run([*mine, *theirs, *(convolutions if pair == "ours" else [])], 30 if quick else 120)
        claims += [compare(pair, mine[0], theirs, what) for what in ("learn", "infer")]
        if pair == "ours":
            both = ("learn", "infer")
            claims += [share(mine[0], theirs, convolutions, what) for what in both]
    show(lines, claims, machine)


def show(lines, claims, machine):
    if machine:
        print("\n".join(json.dumps(one) for one in claims))
        return
    for line, work in lines:
        print(f"{line} {work:>13,} multiply-adds")
    for one in claims:
        print(f"\n{one['claim']}: {one['value']} (target {one['target']}, meets: {one['meets']})")
        rest = {k: v for k, v in one.items() if k not in ("claim", "value", "target", "meets")}
        print("   " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in rest.items()))


if __name__ == "__main__":
    main()
