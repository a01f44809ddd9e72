"""What this machine and its packages are fit for, each in a sentence."""

import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from unmist.base import files
from unmist.base.faults import Fault
from unmist.data.index import cache_root

__all__ = ["Finding", "doctor"]

NEEDED = ("torch", "numpy", "pillow", "safetensors", "msgspec", "cyclopts", "rich", "matplotlib")
# Import names whose mere presence has broken others, and what happens where they do not load.
TROUBLE = {
    "torchvision": "transformers, diffusers and torchmetrics fail with it: uninstall it",
    "cv2": "OpenCV needs libraries that are not here: uninstall it, or take the headless build",
    "xformers": "diffusers tries to use it: uninstall it, torch's own attention is as good",
    "triton": "torch.compile tries to use it: uninstall it on machines without a GPU",
    "torchaudio": "transformers tries to use it: uninstall it, or match it to torch",
}
GB = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `state` is "good", "note" (works, but know it) or "bad"."""

    name: str
    state: str
    text: str


def doctor(*, folder: Path | None = None, cache: Path | None = None) -> tuple[Finding, ...]:
    """Look at versions, processor, memory, speed, packages, and where can be written.

    folder: where runs would go, the current one by default; cache: as for `open_data`. Takes about
    two seconds; nothing stays on the disk.
    """
    return (
        *_versions(),
        _processor(),
        _memory(),
        _device(),
        *_speed(),
        *_packages(),
        _folder("folder", folder or Path.cwd()),
        _cache(cache),
    )


def _versions() -> Iterator[Finding]:
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    good = sys.version_info >= (3, 11)
    yield Finding("python", "good" if good else "bad", text if good else f"{text}: 3.11 is needed")
    yield Finding("unmist", "good", version("unmist"))
    for name in NEEDED:
        try:
            yield Finding(name, "good", version(name))
        except PackageNotFoundError:
            yield Finding(name, "bad", f"not installed: pip install {name}")


def _processor() -> Finding:
    """Cores this process may use against torch's threads: more threads than cores is slow."""
    cores, threads = _cores(), torch.get_num_threads()
    kind = torch.backends.cpu.get_cpu_capability()
    text = f"{_many(cores, 'core')}, {_many(threads, 'torch thread')}, {kind}"
    if threads > cores:
        return Finding("processor", "note", f"{text}: set OMP_NUM_THREADS={cores:g}")
    if threads < cores:
        return Finding("processor", "note", f"{text}: some cores stay idle")
    return Finding("processor", "good", text)


def _many(count: float, what: str) -> str:
    return f"{count:g} {what}" + "s" * (count != 1)


def _cores() -> float:
    """By affinity, and by a container's quota where that is less."""
    cores: float = os.cpu_count() or 1
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    quota = _words("/sys/fs/cgroup/cpu.max")
    if len(quota) == 2 and quota[0] != "max":
        cores = min(cores, int(quota[0]) / int(quota[1]))
    return cores


def _words(path: str) -> list[str]:
    """The words of a small file of the kernel; none where it is not there."""
    with suppress(OSError):
        return Path(path).read_text("ascii").split()
    return []


def _memory() -> Finding:
    """Free memory, within a container's limit."""
    words = _words("/proc/meminfo")
    if "MemAvailable:" not in words:
        return Finding("memory", "note", "how much is free cannot be read on this system")
    free = int(words[words.index("MemAvailable:") + 1]) * 1024
    limit, used = _words("/sys/fs/cgroup/memory.max"), _words("/sys/fs/cgroup/memory.current")
    if limit and used and limit[0] != "max":
        free = min(free, max(0, int(limit[0]) - int(used[0])))
    text = f"{free / GB:.1f} GiB free"
    if free < 2 * GB:
        return Finding("memory", "note", f"{text}: choose small batches and sizes")
    return Finding("memory", "good", text)


def _device() -> Finding:
    if torch.cuda.is_available():
        kind = "bfloat16" if torch.cuda.is_bf16_supported() else "float16 with loss scaling"
        return Finding("device", "good", f"{torch.cuda.get_device_name()}; {kind} is fast here")
    if torch.backends.mps.is_available():
        return Finding("device", "good", "Apple's GPU (mps)")
    return Finding("device", "good", "the processor alone: small models, budgets of minutes")


def _speed() -> Iterator[Finding]:
    """A 3x3 convolution as networks have them, in float32 and bfloat16 on the processor."""
    full, half = (_rate(kind) for kind in (torch.float32, torch.bfloat16))
    yield Finding("convolution", "good", f"{full / 1e9:.0f} GFLOP/s in float32")
    if half < full:
        text = f"float32: bfloat16 is {full / half:.1f} times slower on this processor"
    else:
        text = f"bfloat16 is {half / full:.1f} times faster on this processor"
    yield Finding("precision", "good", text)


def _rate(kind: torch.dtype) -> float:
    """Operations a second, the median of five runs after one to warm up."""
    x = torch.ones(8, 64, 32, 32, dtype=kind).to(memory_format=torch.channels_last)
    weight = torch.ones(64, 64, 3, 3, dtype=kind).to(memory_format=torch.channels_last)
    times = []
    with torch.no_grad():
        for _ in range(6):
            start = time.perf_counter()
            torch.nn.functional.conv2d(x, weight, padding=1)
            times.append(time.perf_counter() - start)
    return 2 * 8 * 32 * 32 * 64 * 64 * 9 / sorted(times[1:])[2]


def _packages() -> Iterator[Finding]:
    """Packages known for breaking others: each loaded in a process of its own."""
    found = [name for name in TROUBLE if importlib.util.find_spec(name) is not None]
    for name in found:
        if _loads(name):
            yield Finding(name, "good", "loads")
        else:
            yield Finding(name, "bad", f"does not load; {TROUBLE[name]}")
    if not found:
        yield Finding("packages", "good", f"none that break others ({', '.join(TROUBLE)})")


def _loads(name: str) -> bool:
    command = [sys.executable, "-c", f"import torch, {name}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _folder(name: str, folder: Path) -> Finding:
    """Whether the folder, or the nearest above it that is there, takes a file; and its room."""
    place = folder.absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(prefix=".unmist-", dir=place) as file:
            file.write(b"unmist")
        free = files.free_space(place) / GB
    except (OSError, Fault) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Finding(name, "bad", f"{folder} cannot be written ({reason})")
    text = f"{folder} can be written, {free:.1f} GiB free"
    return Finding(name, "good" if free > 1 else "note", text)


def _cache(cache: Path | None) -> Finding:
    try:
        # Any folder would do as the second argument: it guards against a cache inside the data.
        return _folder("cache", cache_root(cache, Path(os.devnull)))
    except Fault as fault:
        return Finding("cache", "bad", str(fault))
