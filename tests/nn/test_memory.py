"""Kept memory, counted in page faults of a process of its own."""

import platform
import subprocess
import sys

import pytest

WORK = """
import resource, sys, torch
from unmist.core.condition import Signals, Sockets
from unmist.networks.unet import UNet
from unmist.nn.memory import keep_freed_memory
torch.set_num_threads(1)
assert "keep" not in sys.argv or keep_freed_memory()
settings = UNet(width=16, levels=(1, 1), blocks=(1, 1), attention=())
net, x = settings.build((3, 64, 64), Sockets()), torch.zeros(64, 3, 64, 64)
def step():
    net(x, x.new_zeros(64), Signals()).sum().backward()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments):
    done = subprocess.run([sys.executable, "-c", WORK, *arguments], capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_freed_memory_is_taken_again_without_page_faults():
    # fails if the settings are refused, or are not those that matter: without them, about
    # 18,000 a step here
    assert faults("keep") < faults() / 5
