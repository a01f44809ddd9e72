"""A publish that is killed at any instant shows nothing unchecked and loses nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kills", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_kills_show_nothing_unchecked_and_lose_nothing(tmp_path, kills):
    """Fails where a kill leaves a picture to be seen that was refused, is torn or has no record, or
    where a picture is lost, published twice, or the folder takes nothing more."""
    script = Path(__file__).with_name("publishing.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "1", str(kills)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=60 * kills,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    print(report)
    assert report["kills"] >= kills
