"""The frame: help, exit codes, one line for whatever goes wrong."""

import json
import os
import subprocess
import sys

import pytest

from unmist.base.faults import BadInput, Busy, CannotWrite, Diverged
from unmist.base.machine import in_bytes
from unmist.cli import main as frame
from unmist.cli.flags import seconds, settings_of
from unmist.cli.main import COMMANDS, main
from unmist.cli.progress import clock


def test_help_needs_neither_torch_nor_the_parser():
    """Fails if the overview, or a public name's list, begins to load what is heavy."""
    code = (
        "import sys; from unmist.cli.main import main; import unmist; main(['--help']);"
        "dir(unmist); print({'torch', 'numpy', 'cyclopts', 'rich', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    assert all(command.line in done.stdout for command in COMMANDS.values())


def test_the_help_of_every_command_needs_no_torch():
    """Fails if a command imports its workflow before it is called."""
    code = (
        "import sys; from unmist.cli.main import COMMANDS, main\n"
        "for name in COMMANDS: assert main([name, '--help']) == 0\n"
        "assert main(['look', 'noise', '--help']) == 0\n"
        "print({'torch', 'numpy', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
    assert done.stdout.count("Usage: unmist") == len(COMMANDS) + 1


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_has_every_command(said, words):
    """Fails if a way of asking for help is refused or a command is missing from it."""
    code, out, err = said(*words)
    assert (code, err) == (0, "")
    assert all(f"  {name} " in out for name in COMMANDS)


ENDS = {
    "bad input": (BadInput("broken", where="x.png", mend="mend it"), 2, "x.png: broken; mend it"),
    "cannot write": (CannotWrite("full", where="y"), 74, "y: full"),
    "busy": (Busy("taken", where="z"), 75, "z: taken"),
    "diverged": (Diverged("lost"), 70, "lost"),
    "stopped": (KeyboardInterrupt(), 130, "stopped"),
    "memory": (MemoryError(), 71, "not enough memory"),
    "torch's memory": (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 71, "memory"),
    "bug": (KeyError("half a\nline"), 1, "a fault of unmist itself (KeyError: 'half a\\nline')"),
    "disk": (OSError(28, "No space left on device", "out.png"), 74, "out.png: No space left"),
}


@pytest.mark.parametrize("name", ENDS)
def test_each_end_has_its_line_and_code(monkeypatch, said, name):
    """Fails if a fault prints more than a line, a trace, or ends with another code."""
    error, code, line = ENDS[name]

    def fail(words):
        raise error

    monkeypatch.setattr(frame, "_run", fail)
    got, out, err = said("train")
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert err.startswith("unmist: ")
    assert line in err


def test_debug_shows_the_trace_and_is_taken_out(monkeypatch, said):
    """Fails if --debug reaches the command, or the trace is missing with it."""
    seen = []

    def fail(words):
        seen.append(words)
        raise KeyError("deep inside")

    monkeypatch.setattr(frame, "_run", fail)
    code, _, err = said("train", "--debug", "x", "--", "--debug")
    assert code == 1
    assert seen == [["train", "x", "--", "--debug"]]
    assert "Traceback" in err
    assert "test_main.py" in err


def test_a_closed_pipe_is_quiet():
    """Fails if `| head` leaves a trace, or a line, behind."""
    read, write = os.pipe()
    os.close(read)
    code = "from unmist.cli.main import main; raise SystemExit(main(['--help']))"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_behind_stdout_is_told():
    """Fails if printing to a full disk ends with 0 or with a trace."""
    code = "from unmist.cli.main import main; raise SystemExit(main(['--help']))"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 74
    assert done.stderr == "unmist: stdout: No space left on device\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5m", 90), ("2h0m5s", 7205)],
)
def test_times_are_read(text, wanted):
    """Fails if a unit has the wrong length or the parts are not added."""
    assert seconds(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "x", "10 m", "-3", "0", "0s", "m", "10mm", "9" * 30, "1e3", "٣"]
)
def test_what_is_no_time_is_refused(text):
    """Fails if anything but digits and units is taken for a time, or 0, or more than a year."""
    with pytest.raises(BadInput):
        seconds(text)


def test_settings_keep_their_types_and_the_last_counts():
    """Fails if a number stays text, a text becomes a number, or a repeated name is refused."""
    pairs = ["a.b=3", "a.c=0.5", "d=heun", "e=true", "f=1,2", "a.b=4", 'g="5"', "h = x=y"]
    wanted = {"a.b": 4, "a.c": 0.5, "d": "heun", "e": True, "f": [1, 2], "g": "5", "h": "x=y"}
    assert settings_of(pairs) == wanted


def test_clocks_and_sizes_are_written_for_people():
    """Fails if minutes run past 59 or a size has the wrong unit."""
    assert [clock(s) for s in (0, 5.4, 65, 3600, 3725)] == [
        "0:00",
        "0:05",
        "1:05",
        "1:00:00",
        "1:02:05",
    ]
    assert [in_bytes(b) for b in (0, 1023, 2048, 3 << 20, 3 << 29)] == [
        "0 B",
        "1023 B",
        "2 KiB",
        "3 MiB",
        "1.5 GiB",
    ]


def test_the_public_names_are_there():
    """Fails if a name of docs/names.md no longer leads to its room, or a wrong one is invented."""
    import unmist

    for name in unmist.__all__:
        assert getattr(unmist, name) is not None
    assert "flow" in unmist.schedules.names()
    assert "table" in unmist.schedules.names()
    assert unmist.Level is __import__("unmist.core.level", fromlist=["Level"]).Level
    with pytest.raises(AttributeError, match="unmst"):
        unmist.unmst  # noqa: B018


def test_doctor_tells_of_this_machine(said, tmp_path, monkeypatch):
    """Fails if a check is missing from the JSON, or a folder that cannot be written passes."""
    import torch

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNMIST_CACHE", "/dev/null/nowhere")
    code, out, err = said("doctor", "--json")
    found = json.loads(out)
    assert (code, err) == (1, "")
    assert found["torch"]["text"] == torch.__version__
    assert found["folder"]["state"] in ("good", "note")
    assert found["cache"]["state"] == "bad"
    assert f"{torch.get_num_threads()} torch thread" in found["processor"]["text"]
    assert "GFLOP/s" in found["convolution"]["text"]
    assert list(tmp_path.iterdir()) == []


def test_main_is_the_console_script():
    """Fails if the entry point in pyproject.toml leads elsewhere."""
    from importlib.metadata import entry_points

    (script,) = [e for e in entry_points(group="console_scripts") if e.name == "unmist"]
    assert script.load() is main
