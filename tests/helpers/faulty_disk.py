"""A stand-in for `os` in unmist.base.files that counts, fails, kills or records each change."""

import os
import random
import signal
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from unmist.base import files

CHANGES = ("mkdir", "write", "ftruncate", "fsync", "replace", "unlink", "rmdir")


class Disk:
    """Calls `act(count, name, call)` in place of every operation that changes the disk."""

    def __init__(self, act: Callable) -> None:
        self.act, self.count = act, 0

    def __getattr__(self, name: str):
        real = getattr(os, name)
        if name not in CHANGES and name != "open":
            return real

        def call(*args):
            if name == "open" and not args[1] & os.O_CREAT:
                return real(*args)
            self.count += 1
            return self.act(self.count, name, lambda: real(*args), args)

        return call


@contextmanager
def disk(act: Callable):
    """Everything that unmist writes in this block goes through `act`."""
    stand_in = Disk(act)
    files.os = stand_in
    try:
        yield stand_in
    finally:
        files.os = os


def count_operations(story: Callable[[], object]) -> int:
    with disk(lambda _count, _name, call, _args: call()) as counted:
        story()
    return counted.count


def killed_at(number: int, story: Callable[[], object]) -> int:
    """Run `story` in a child that dies just before its number-th operation; its exit status.

    A write is torn: its first half reaches the file.
    """

    def act(count, name, call, args):
        if count == number:
            if name == "write":
                os.write(args[0], bytes(args[1])[: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return call()

    child = os.fork()
    if child == 0:
        try:
            with disk(act):
                story()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def failing_at(number: int, code: int):
    """An `act` that fails from the number-th operation on with errno `code`, but for clean-ups."""

    def act(count, name, call, _args):
        if count >= number and name not in ("unlink", "rmdir"):
            raise OSError(code, os.strerror(code))
        return call()

    return act


# Power loss. A file keeps what was synced; of the later writes each may be lost or torn. A folder
# keeps the entries that were synced; of the later changes any prefix.


@dataclass
class Node:
    """A file (writes) or a folder (changes of its entries), with how much of each is safe."""

    folder: bool
    writes: list[tuple[int, bytes]] = field(default_factory=list)
    changes: list[tuple] = field(default_factory=list)
    safe: int = 0


class PowerLog:
    """Records one story below `root`, then makes the disks that a power cut could leave."""

    def __init__(self, root: Path, *, deaf: str = "") -> None:
        self.root, self.deaf, self.events, self.by_fd = root, deaf, [], {}

    def act(self, _count, name, call, args):
        """Do it and note it. `deaf` plants a fault: 'file' or 'folder' syncs are not noted."""
        result = call()
        if name == "open":
            self.by_fd[result] = args[0]
        self.events.append((name, self._path(args), args, result))
        return result

    def _path(self, args):
        first = args[0]
        return Path(os.readlink(f"/proc/self/fd/{first}")) if isinstance(first, int) else first

    def after(self, number: int, before: dict[Path, bytes | None]) -> "Nodes":
        nodes = Nodes(self.root, before, self.deaf)
        for event in self.events[:number]:
            nodes.apply(*event)
        return nodes


class Nodes:
    """The disk after some events, as a graph of nodes with pending changes."""

    def __init__(self, root: Path, before: dict[Path, bytes | None], deaf: str) -> None:
        self.deaf, self.root = deaf, Node(folder=True)
        self.now: dict[Path, Node] = {root: self.root}
        for path in sorted(before):
            content = before[path]
            node = Node(folder=content is None)
            if content is not None:
                node.writes, node.safe = [(0, content)], 1
            self.now[path] = node
            parent = self.now[path.parent]
            parent.changes.append(("add", path.name, node))
            parent.safe += 1

    def apply(self, name, path, args, result) -> None:
        folder = self.now.get(path.parent)
        if name in ("open", "mkdir") and path not in self.now:
            self.now[path] = Node(folder=name == "mkdir")
            folder.changes.append(("add", path.name, self.now[path]))
        elif name == "write":
            node = self.now[path]
            node.writes.append((sum(len(c) for _, c in node.writes), bytes(args[1])[:result]))
        elif name == "fsync":
            node = self.now[path]
            if self.deaf != ("folder" if node.folder else "file"):
                node.safe = len(node.changes if node.folder else node.writes)
        elif name in ("unlink", "rmdir"):
            folder.changes.append(("drop", path.name))
            del self.now[path]
        elif name == "replace":
            self._rename(path, Path(args[1]))

    def _rename(self, old: Path, new: Path) -> None:
        self.now[old.parent].changes.append(("rename", old.name, new.name))
        moved = {p: n for p, n in self.now.items() if p == old or old in p.parents}
        for path in moved:
            del self.now[path]
        self.now.update({new / p.relative_to(old): n for p, n in moved.items()})

    def put(self, target: Path, rng: random.Random) -> None:
        """Write one of the possible disks to `target`."""
        self._put(self.root, target, rng)

    def _put(self, node: Node, path: Path, rng: random.Random) -> None:
        if not node.folder:
            path.write_bytes(self._content(node, rng))
            return
        path.mkdir()
        entries: dict[str, Node] = {}
        kept = rng.choice([node.safe, len(node.changes), rng.randint(node.safe, len(node.changes))])
        for kind, name, *rest in node.changes[:kept]:
            if kind == "add":
                entries[name] = rest[0]
            else:
                child = entries.pop(name)
                if kind == "rename":
                    entries[rest[0]] = child
        for name, child in entries.items():
            self._put(child, path / name, rng)

    @staticmethod
    def _content(node: Node, rng: random.Random) -> bytes:
        content = b"".join(c for _, c in node.writes[: node.safe])
        for offset, late in node.writes[node.safe :]:
            fate = rng.choice(["lost", "torn", "zeros", "there"])
            if fate == "lost":
                break
            left = {"torn": late[: len(late) // 2], "zeros": bytes(len(late))}.get(fate, late)
            content = content[:offset].ljust(offset, b"\0") + left
        return content


def snapshot(root: Path) -> dict[Path, bytes | None]:
    """Every path below root with its content, None for a folder."""
    return {p: None if p.is_dir() else p.read_bytes() for p in sorted(root.rglob("*"))}
