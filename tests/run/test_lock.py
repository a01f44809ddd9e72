"""One process a run folder."""

import os
import signal

import pytest

from unmist.base.faults import Busy
from unmist.run.lock import hold

pytestmark = pytest.mark.filterwarnings("ignore:This process .* fork:DeprecationWarning")


def racer(folder, go, done):
    """A child that waits for `go`, tries, and if it wins stays until `done` is closed."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.close(go[1])
        os.close(done[1])
        os.read(go[0], 1)
        with hold(folder):
            os.write(1, b"")
            os.read(done[0], 1)
            code = 0
    except Busy as fault:
        code = fault.code if "is working in it" in fault.what else 2
    finally:
        os._exit(code)


def test_exactly_one_of_two_runs(tmp_path):
    """Fails if two processes enter one folder, or none: 20 races."""
    for trial in range(20):
        go, done = os.pipe(), os.pipe()
        children = [racer(tmp_path / str(trial), go, done) for _ in range(2)]
        os.close(go[1])
        first, status = os.waitpid(-1, 0)
        assert first in children
        assert os.waitstatus_to_exitcode(status) == 75
        os.close(done[1])
        children.remove(first)
        assert os.waitstatus_to_exitcode(os.waitpid(children[0], 0)[1]) == 0
        os.close(go[0])
        os.close(done[0])


def test_names_the_holder_and_outlives_no_kill(tmp_path):
    """Fails if the line does not name the process, or a killed one leaves the folder locked."""
    ready, hang = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with hold(tmp_path):
            os.write(ready[1], b"x")
            os.close(hang[1])
            os.read(hang[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    with pytest.raises(Busy, match=f"process {child} is working in it"), hold(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with hold(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
