"""One process a run folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unmist.base import files
from unmist.base.faults import Busy

__all__ = ["hold"]


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Work in `folder`, made if need be, alone; Busy names the process that is there already.

    The kernel drops the lock when the process ends, however it ends, so no stale lock remains.
    """
    with files.told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            who = f"process {holder}" if holder.isdigit() else "another process"
            mend = "wait until it ends, or choose another folder"
            raise Busy(f"{who} is working in it", where=folder, mend=mend) from error
        with files.told(folder):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
