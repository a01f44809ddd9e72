"""What this machine is and what is chosen of it: device, threads, precision, memory, versions."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean

if TYPE_CHECKING:
    import torch

__all__ = [
    "Machine",
    "autocast",
    "choose",
    "cores",
    "differences",
    "facts",
    "free_memory",
    "in_bytes",
]

Device = Literal["cpu", "cuda", "mps"]
Precision = Literal["float32", "bfloat16"]

DEVICES: tuple[Device, ...] = ("cpu", "cuda", "mps")
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
_FAST_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is ARM's
_CPUINFO = Path("/proc/cpuinfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """The part of the machine a run uses. Stored with the run: a resume takes the same."""

    device: Device
    threads: int
    precision: Precision


def choose(device: str = "auto", *, threads: int = 0, precision: str = "auto") -> Machine:
    """The device, thread count and precision to use.

    "auto" is CUDA, Metal or the CPU, whichever is there first, in bfloat16 only on CUDA devices
    that have it; threads 0 are as many as torch and the container grant. bfloat16 is refused on
    CPUs that only emulate it, where it is 4 to 8 times slower than float32. Raises BadInput.
    """
    _one_of("device", device, ("auto", *DEVICES))
    _one_of("precision", precision, ("auto", *PRECISIONS))
    if not 0 <= threads <= 1024:
        raise BadInput(f"{threads} threads", where="--threads", mend="0 (all) … 1024")
    there = _devices()
    by_name: dict[str, Device] = {"auto": there[0], **{kind: kind for kind in there}}
    if device not in by_name:
        raise BadInput(f"torch finds no {device} here", where="--device", mend=f"use {there[0]}")
    chosen = by_name[device]
    return Machine(chosen, threads or cores(), _precision(chosen, precision))


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        mend = did_you_mean(value, list(known))
        raise BadInput(f"no {name} called '{value}'", where=f"--{name}", mend=mend)


def _devices() -> list[Device]:
    import torch

    there: dict[Device, bool] = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    return [kind for kind, is_there in there.items() if is_there]


def _precision(device: Device, wanted: str) -> Precision:
    if device == "cuda":
        import torch

        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = device == "mps" or bool(_FAST_BF16 & _cpu_flags())
    if wanted == "bfloat16" and not fast:
        what = f"this {device} has no bfloat16 of its own and would be several times slower"
        raise BadInput(what, where="--precision", mend="use float32")
    halved = wanted == "bfloat16" or (wanted == "auto" and device == "cuda" and fast)
    return "bfloat16" if halved else "float32"


def autocast(machine: Machine) -> "torch.autocast":
    """Run the network calls of a block in the machine's precision; master weights stay float32."""
    import torch

    on = machine.precision == "bfloat16"
    return torch.autocast(machine.device, dtype=torch.bfloat16, enabled=on)


def cores() -> int:
    """CPU threads that torch would take, but no more than the container's quota."""
    import torch

    quota = _read(_CGROUP / "cpu.max").split()
    granted = sys.maxsize
    if len(quota) == 2 and quota[0].isdigit():
        granted = max(1, int(quota[0]) // int(quota[1]))
    return min(torch.get_num_threads(), granted)


def free_memory() -> int:
    """Bytes this process may still take: what the system has free, within the container's limit."""
    lines = dict(line.split(":", 1) for line in _read(Path("/proc/meminfo")).splitlines())
    if "MemAvailable" in lines:
        free = int(lines["MemAvailable"].split()[0]) * 1024
    else:
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    limit, used = _read(_CGROUP / "memory.max").strip(), _read(_CGROUP / "memory.current").strip()
    return min(free, max(0, int(limit) - int(used))) if limit.isdigit() and used else free


def facts(machine: Machine) -> dict[str, str | int]:
    """What the last bit of a run depends on besides its recipe; JSON, stored as about.json has it.

    Measured choices (layout, micro-batch) are added by whoever makes them.
    """
    import torch

    return {
        "device": machine.device,
        "threads": machine.threads,
        "precision": machine.precision,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "unmist": version("unmist"),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(machine),
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


def differences(before: dict[str, str | int], now: dict[str, str | int]) -> tuple[str, ...]:
    """One line for each fact that is no longer as it was: then a resume is not equal to the bit."""
    names = sorted(before.keys() | now.keys())
    return tuple(
        f"{name} was {before.get(name, 'not known')}, is {now.get(name, 'not known')}"
        for name in names
        if before.get(name) != now.get(name)
    )


def _processor(machine: Machine) -> str:
    if machine.device == "cuda":
        import torch

        return torch.cuda.get_device_name()
    for line in _read(_CPUINFO).splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cpu_flags() -> set[str]:
    lines = _read(_CPUINFO).splitlines()
    shown = [line for line in lines if line.startswith(("flags", "Features"))]
    return set(shown[0].partition(":")[2].split()) if shown else set()


def _read(path: Path) -> str:
    """A small file of the system's own, empty where this system has none."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def in_bytes(count: float) -> str:
    """`512 MiB`, `1.5 GiB`."""
    size, units = count, iter(("B", "KiB", "MiB"))
    for unit in units:
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
