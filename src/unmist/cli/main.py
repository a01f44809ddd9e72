"""`unmist`: picks the command, prints what goes wrong in one line, ends with its exit code.

Nothing heavy is loaded before the command is known; `unmist --help` does not even need the parser.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from unmist.base.faults import BadInput, CannotWrite, Fault
from unmist.base.kinds import did_you_mean

if TYPE_CHECKING:
    from cyclopts import App

__all__ = ["COMMANDS", "Command", "main", "parser"]

ABOUT = (
    "Train, steer, edit with, measure and responsibly publish diffusion models on your own data."
)


class Command(NamedTuple):
    """Where a command lives, loaded when it is called, and its one line of help."""

    where: str
    line: str


COMMANDS = {
    "start": Command(
        "unmist.cli.start:start", "The whole way at once: train on real digits, sample, describe."
    ),
    "train": Command("unmist.cli.train:train", "Train a model on a folder, an array or a set."),
    "sample": Command("unmist.cli.sample:sample", "Draw samples from a trained model."),
    "edit": Command(
        "unmist.cli.edit:app", "Inpaint, vary, translate, upscale, restore, blend pictures."
    ),
    "tune": Command("unmist.cli.tune:tune", "Fit a model's short plans: better in 3 to 12 steps."),
    "distill": Command("unmist.cli.distill:distill", "Teach a student to draw in 1, 2 or 4 steps."),
    "average": Command(
        "unmist.cli.average:average", "Choose the length of the weights' average after training."
    ),
    "pack": Command("unmist.cli.pack:pack", "Copy a model alone, to be given away."),
    "evaluate": Command(
        "unmist.cli.evaluate:evaluate", "Measure a model: distance, coverage, copies."
    ),
    "look": Command(
        "unmist.cli.look:app", "Look at data, a run, a picture's settings, noise, schedules."
    ),
    "publish": Command(
        "unmist.cli.publish:publish", "Publish what passes every check, marked and recorded."
    ),
    "verify": Command(
        "unmist.cli.verify:verify", "Ask a picture what it is, who made it, was it changed."
    ),
    "fetch": Command(
        "unmist.cli.fetch:fetch", "Fetch published weights that measure pictures, by name and hash."
    ),
    "doctor": Command("unmist.cli.doctor:doctor", "Check this machine and its packages."),
}
NOTES = """\
Each command explains itself: unmist train --help
--debug anywhere shows the whole trace of an error."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line; the exit code. The console script's entry point."""
    words = list(sys.argv[1:] if words is None else words)
    _tolerant(sys.stdout, sys.stderr)
    own = words[: words.index("--")] if "--" in words else words
    debug = "--debug" in own
    words = [word for word in own if word != "--debug"] + words[len(own) :]
    try:
        code = _run(words)
        _flush()
        return code
    except BaseException as error:
        if debug and not isinstance(error, SystemExit):
            traceback.print_exc()
        return _ended(error)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(_overview())
        return 0
    if words[0] not in COMMANDS and not words[0].startswith("-"):
        raise BadInput(f"no command '{words[0]}'", mend=did_you_mean(words[0], list(COMMANDS)))
    code = parser()(words)
    return code if isinstance(code, int) else 0


def parser() -> "App":
    """The command line; its commands are loaded only when called."""
    from cyclopts import App, Parameter

    import unmist

    app = App(
        name="unmist",
        help=ABOUT,
        version=str(unmist.__version__),
        default_parameter=Parameter(negative=()),
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        help_format="plaintext",  # markdown would cost as much as all the rest
    )
    for name, command in COMMANDS.items():
        app.command(command.where, name=name)
    return app


def _overview() -> str:
    rows = [f"  {name:8} {command.line}" for name, command in COMMANDS.items()]
    usage = "Usage: unmist COMMAND [FLAGS]"
    return "\n".join([ABOUT, "", usage, "", "Commands:", *rows, "", NOTES])


def _ended(error: BaseException) -> int:
    """One line on stderr for whatever ended the command, and the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, BrokenPipeError):  # `| head` has seen enough
        _silence()
        return 141
    if isinstance(error, OSError) and not error.filename:
        _silence()
    code, line = _told(error)
    _say(f"unmist: {line}")
    return code


def _told(error: BaseException) -> tuple[int, str]:
    if isinstance(error, Fault):
        return error.code, str(error)
    if isinstance(error, KeyboardInterrupt):
        return 130, "stopped"
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        mend = "ask for smaller batches, pictures or networks"
        return 71, f"not enough memory; {mend}"
    if type(error).__module__.startswith("cyclopts"):
        return BadInput.code, _usage(str(error))
    if isinstance(error, OSError) and error.strerror:
        return CannotWrite.code, f"{error.filename or 'stdout'}: {error.strerror}"
    kind = type(error).__name__
    what = " ".join(str(error).split())[:200]
    return 1, f"a fault of unmist itself ({kind}: {what}); repeat with --debug for the whole trace"


def _usage(text: str) -> str:
    """The parser's sentences as `what; mend`."""
    text = " ".join(text.split()).rstrip(".")
    text = text.replace(". Did you mean", "; did you mean").replace(". Available", "; available")
    return text.replace("Unused Tokens:", "not understood:")


def _say(line: str) -> None:
    if sys.stderr is not None:
        print(line, file=sys.stderr)


def _flush() -> None:
    """What was printed is really out; a full disk behind stdout is an error like any other."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _silence()
        raise CannotWrite(error.strerror or "cannot be written", where="stdout") from error


def _silence() -> None:
    """Python flushes stdout once more on its way out: into nothing."""
    empty = os.open(os.devnull, os.O_WRONLY)
    os.dup2(empty, 1)
    os.close(empty)


def _tolerant(*streams: object) -> None:
    """Names that the terminal's character set lacks are escaped, not fatal."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
