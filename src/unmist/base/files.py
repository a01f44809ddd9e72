"""Files that stand whole or not at all, whatever ends the process or the current in between.

The order is always: write beside the target, sync the file, rename, sync the folder. A rename
within one folder is atomic, so a reader meets the old content or the new one; the two syncs make
that true of a power cut as well. Every change of the disk goes through this module's `os`, so one
substitute is enough to fail, kill or record the n-th operation.
"""

import errno
import hashlib
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unmist.base.faults import BadInput, CannotWrite

__all__ = [
    "append_line",
    "create",
    "digest",
    "free_space",
    "json_text",
    "move",
    "parse_json",
    "read_bytes",
    "read_lines",
    "remove",
    "swept",
    "sync",
    "told",
    "whole",
    "whole_folder",
    "write_bytes",
    "write_json",
    "write_text",
]

TEMPORARY = ".tmp-"
_CHUNK = 1 << 20
_REASONS = {
    errno.ENOSPC: ("the disk is full", "free some space or choose another disk, then repeat"),
    errno.EDQUOT: ("the disk quota is used up", "free some space or choose another disk"),
    errno.EROFS: ("the disk is read-only", "choose a folder that can be written"),
    errno.EACCES: ("no permission to write here", "choose another folder or change its rights"),
    errno.EPERM: ("no permission to write here", "choose another folder or change its rights"),
    errno.EFBIG: ("the file is larger than this process may write", "raise the limit (ulimit -f)"),
    errno.EIO: ("the disk reports an input/output error", "check the disk, then repeat"),
}


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn any OSError of a write into CannotWrite with the path and the mend."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or "it cannot be written", "choose another place")
        what, mend = _REASONS.get(error.errno or 0, reason)
        raise CannotWrite(what, where=path, mend=mend) from error


def _beside(path: Path) -> Path:
    """A fresh name in the folder of `path`, with its suffix: picture writers choose by suffix."""
    return path.parent / f"{TEMPORARY}{secrets.token_hex(6)}{path.suffix}"


def sync(path: Path) -> None:
    """Wait until a file, or the list of names in a folder, is on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: Path, content: bytes) -> None:
    """Write and sync a new file, in place: for folders that are not yet in theirs."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        _write_all(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left[:_CHUNK]) :]


def move(old: Path, new: Path) -> None:
    """Rename within one folder (over a file that stands there) and sync the folder."""
    os.replace(old, new)
    sync(new.parent)


def remove(path: Path) -> None:
    """Delete a file, a link (never what it points to) or a whole folder; fine if it is gone."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            for name in sorted(os.listdir(path)):
                remove(path / name)
            os.rmdir(path)
        else:
            os.unlink(path)


def swept(folder: Path, *, older: float = 0.0) -> None:
    """Remove what killed writers left in `folder`, if it is that many seconds old.

    At 0, only where nobody else can be writing.
    """
    for left in sorted(folder.glob(f"{TEMPORARY}*")):
        with suppress(OSError):  # its owner may be quicker
            if time.time() - left.stat().st_mtime >= older:
                remove(left)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a path to write a file to; on leaving, it takes the place of `path` in one stroke.

    For writers that want a path of their own (pictures, archives). If the block raises, `path` is
    as it was. Raises CannotWrite.
    """
    beside = _beside(path)
    try:
        with told(path):
            yield beside
            sync(beside)
            move(beside, path)
    finally:
        with suppress(OSError):
            remove(beside)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a new folder to fill; on leaving, it is synced and becomes `path`, which must not be.

    Files put there by `create` are synced already. Raises CannotWrite.
    """
    beside = path.parent / f"{TEMPORARY}{secrets.token_hex(6)}"
    try:
        with told(path):
            os.mkdir(beside)
            yield beside
            sync(beside)
            move(beside, path)
    finally:
        with suppress(OSError):
            remove(beside)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all. Raises CannotWrite."""
    beside = _beside(path)
    try:
        with told(path):
            create(beside, content)
            move(beside, path)
    finally:
        with suppress(OSError):
            remove(beside)


def write_text(path: Path, content: str) -> None:
    """Write `content` as UTF-8 to `path`, whole or not at all. Raises CannotWrite."""
    write_bytes(path, content.encode())


def json_text(value: object) -> str:
    """JSON with sorted keys, one form for one value; NaN and infinities are refused."""
    try:
        return json.dumps(value, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=False)
    except ValueError as error:
        raise BadInput("NaN and infinity have no place in JSON") from error


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON with sorted keys to `path`, whole or not at all. Raises CannotWrite."""
    write_text(path, json_text(value) + "\n")


def append_line(path: Path, line: str) -> None:
    """Add one line to a log and sync it; an earlier line torn by a crash is cut off first.

    If the line does not fit, the file is put back to what it was. Raises CannotWrite.
    """
    assert "\n" not in line, "one line"
    with told(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            end = _whole_lines(descriptor)
            os.ftruncate(descriptor, end)
            os.lseek(descriptor, end, os.SEEK_SET)
            try:
                _write_all(descriptor, line.encode() + b"\n")
            except OSError:
                os.ftruncate(descriptor, end)
                raise
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _whole_lines(descriptor: int) -> int:
    """The number of bytes up to and with the last line feed, found from the end."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        block = os.pread(descriptor, end - start, start)
        if b"\n" in block:
            return start + block.rindex(b"\n") + 1
        end = start
    return 0


def read_lines(path: Path) -> list[str]:
    """The whole lines of a log; a last one torn by a crash is left out. Empty where no file is."""
    if not path.exists():
        return []
    lines = path.read_bytes().decode(errors="replace").split("\n")
    return lines[:-1]


def read_bytes(path: Path, *, most: int, links: bool = False) -> bytes:
    """The content of a regular file of at most `most` bytes, or BadInput; a link if `links`."""
    follow = 0 if links else os.O_NOFOLLOW
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | follow)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadInput("is a symbolic link, not a file", where=path) from error
        raise BadInput(error.strerror or "cannot be read", where=path) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise BadInput("is not a regular file", where=path)
        if found.st_size > most:
            raise BadInput(f"has {found.st_size} bytes, more than {most}", where=path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(found.st_size)
    finally:
        os.close(descriptor)


def parse_json(content: bytes, *, where: Path) -> object:
    """Strict JSON: UTF-8, no key twice, no NaN or infinity; BadInput says which."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        table = dict(pairs)
        if len(table) < len(pairs):
            raise ValueError("a key stands there twice")
        return table

    def never(word: str) -> float:
        raise ValueError(f"{word} is no number")

    try:
        return json.loads(content.decode(), object_pairs_hook=once, parse_constant=never)
    except (ValueError, RecursionError) as error:
        why = "is nested too deeply" if isinstance(error, RecursionError) else f"{error}"
        raise BadInput(f"not readable as JSON ({why})", where=where) from error


def digest(content: bytes | Path) -> str:
    """SHA-256 in hex, of bytes or of a file read in pieces."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def free_space(folder: Path) -> int:
    """Bytes that this user can still write to the disk of `folder`."""
    with told(folder):
        room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize
