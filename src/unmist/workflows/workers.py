"""Blocks shared by several processes: block i is made by process i modulo their number."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from unmist.base.faults import BadInput, Fault
from unmist.base.machine import cores
from unmist.data.dataset import DataSet
from unmist.workflows.blocks import Block, Job, make_block, one_thread, part_of

__all__ = ["MOST_PROCESSES", "made", "processes_for"]

MOST_PROCESSES = 256
WORTH = 4  # blocks a process: for fewer its start takes longer than it saves
PAUSE = 0.1


def processes_for(asked: int, blocks: int) -> int:
    """How many processes make so many blocks; 0 asks for as many as are worth their start."""
    if not 0 <= asked <= MOST_PROCESSES:
        raise BadInput(f"{asked} processes", where="--processes", mend=f"0 … {MOST_PROCESSES}")
    chosen = asked or min(cores(), blocks // WORTH)
    return max(1, min(chosen, blocks))


def made(job: Job, blocks: tuple[Block, ...], processes: int, data: DataSet) -> Iterator[int]:
    """Make these blocks; yields how many are done, as they come.

    Raises the fault of the first process that fails, or one that says how a process died.
    """
    if processes == 1 or not blocks:
        with one_thread():
            part = part_of(job, data) if blocks else None
            for done, block in enumerate(blocks, 1):
                assert part is not None
                make_block(part, block)
                yield done
        return
    yield from _shared(job, blocks, processes)


@dataclass(frozen=True, eq=False)
class _Worker:
    number: int
    process: SpawnProcess
    line: Connection


def _shared(job: Job, blocks: tuple[Block, ...], processes: int) -> Iterator[int]:
    workers = []
    try:
        for number in range(processes):
            workers.append(_hired(job, blocks[number::processes], number))
        busy = True
        while busy:
            busy = any(worker.process.is_alive() for worker in workers)
            for worker in workers:
                _refuse_dead(worker, processes)
            yield sum(job.path(block).is_file() for block in blocks)
            time.sleep(PAUSE if busy else 0)
    finally:
        for worker in workers:
            worker.process.terminate()
            worker.process.join()
            worker.line.close()


def _hired(job: Job, blocks: tuple[Block, ...], number: int) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    assert isinstance(ours, Connection)
    process = context.Process(target=_work, args=(job, blocks, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Worker(number, process, ours)


def _work(job: Job, blocks: tuple[Block, ...], line: Connection) -> None:
    """In a process of its own: make the blocks while the parent lives; say what goes wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is asked to stop, and ends us
    parent = multiprocessing.parent_process()
    try:
        with one_thread():
            part = part_of(job)
            for block in blocks:
                if parent is None or not parent.is_alive():
                    return
                make_block(part, block)
    except Fault as fault:
        _say(line, fault)
    except Exception as error:
        _say(line, Fault(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"))


def _say(line: Connection, fault: Fault) -> None:
    """Tell the parent, and end."""
    told = {"what": fault.what, "where": fault.where, "mend": fault.mend}
    line.send_bytes(json.dumps({"code": fault.code, **told}).encode())
    line.close()
    os._exit(1)


def _refuse_dead(worker: _Worker, processes: int) -> None:
    """Raise what ended a process before its blocks were done."""
    code = worker.process.exitcode
    if not code:
        return
    with suppress(EOFError, OSError):
        if worker.line.poll():
            told = json.loads(worker.line.recv_bytes())
            fault = Fault(told["what"], where=told["where"], mend=told["mend"])
            fault.code = told["code"]
            raise fault
    how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
    raise Fault(
        f"process {worker.number + 1} of {processes} died ({how})",
        where="evaluate",
        mend="its finished blocks are kept; the same command goes on, fewer --processes need less",
    )
