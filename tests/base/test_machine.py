"""The machine: what is chosen exists, and what a run depends on is told."""

import json
import os
import subprocess
import sys

import pytest
import torch

from unmist.base import machine
from unmist.base.faults import BadInput


def test_auto_is_something_that_works():
    """Fails if the choice names a device torch cannot use, or more threads than there are CPUs."""
    found = machine.choose()
    assert torch.ones(2, device=found.device).sum().item() == 2
    assert 1 <= found.threads <= os.cpu_count()
    assert machine.choose("cpu", threads=3) == machine.Machine("cpu", 3, "float32")


@pytest.mark.parametrize(
    ("flags", "fast"),
    [("avx avx2", False), ("avx2 avx512_bf16", True), ("amx_bf16", True), ("avx512f", False)],
)
def test_bfloat16_only_where_the_processor_has_it(flags, fast, tmp_path, monkeypatch):
    """Fails if a CPU that emulates bfloat16 (4-8 times slower) may be asked for it, or gets it."""
    (tmp_path / "cpuinfo").write_text(f"model name\t: Test 1\nflags\t\t: fpu {flags}\n")
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    assert machine.choose("cpu").precision == "float32"
    if fast:
        assert machine.choose("cpu", precision="bfloat16").precision == "bfloat16"
    else:
        with pytest.raises(BadInput, match="no bfloat16 of its own"):
            machine.choose("cpu", precision="bfloat16")
    assert machine.facts(machine.choose("cpu"))["processor"] == "Test 1"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"device": "cud"}, "--device: no device called 'cud'; did you mean 'cuda'?"),
        ({"precision": "half"}, "--precision: no precision called 'half'; known: auto, float32"),
        ({"threads": -1}, "--threads: -1 threads; 0 (all) … 1024"),
        ({"threads": 2**40}, "--threads: "),
    ],
)
def test_wrong_choices(settings, words):
    """Fails if a choice that is not there is replaced silently by another."""
    with pytest.raises(BadInput) as caught:
        machine.choose(**settings)
    assert str(caught.value).startswith(words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_absent_gpu_is_refused():
    """Fails if a run asked for a GPU trains on the CPU without a word."""
    with pytest.raises(BadInput, match="torch finds no cuda here; use "):
        machine.choose("cuda")


def test_container_quota(tmp_path, monkeypatch):
    """Fails if torch would start a thread for every core of a machine we have a share of."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert machine.cores() == 64
    for text, wanted in [("max 100000", 64), ("300000 100000", 3), ("50000 100000", 1)]:
        (tmp_path / "cpu.max").write_text(text + "\n")
        assert machine.cores() == wanted


def test_memory_is_bounded_by_the_container(tmp_path, monkeypatch):
    """Fails if the limit of a container is overlooked: its processes are killed, not refused."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    free = machine.free_memory()
    assert 1 << 24 < free < 1 << 48
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert machine.free_memory() == 600_000


def test_facts_and_differences():
    """Fails if a run cannot store its facts as JSON, or a change between two goes untold."""
    now = machine.facts(machine.choose("cpu", threads=2))
    assert json.loads(json.dumps(now)) == now
    assert now["torch"] == torch.__version__
    assert machine.differences(now, dict(now)) == ()
    before = {**now, "threads": 4, "layout": "last"}
    assert machine.differences(before, now) == (
        "layout was last, is not known",
        "threads was 4, is 2",
    )


def test_autocast():
    """Fails if the precision chosen is not the one the network runs in."""
    x = torch.ones(2, 2)
    with machine.autocast(machine.Machine("cpu", 1, "float32")):
        assert (x @ x).dtype == torch.float32
    with machine.autocast(machine.Machine("cpu", 1, "bfloat16")):
        assert (x @ x).dtype == torch.bfloat16


def test_importing_it_loads_no_torch():
    """Fails if asking for help or a version would wait for torch."""
    code = "import unmist.base.machine, unmist.base.files, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
