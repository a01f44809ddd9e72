"""A save that is killed, loses power or fails leaves the old checkpoint or the new, never a mix."""

import errno
import os
import random
import shutil
import subprocess
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from faulty_disk import PowerLog, count_operations, disk, failing_at, killed_at, snapshot

from unmist.base import files
from unmist.base.faults import CannotWrite
from unmist.run import checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:This process .* fork:DeprecationWarning")


@pytest.fixture
def tmp_path():
    """In memory where there is such a place: thousands of syncs would wait for the disk."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def content(number, size=600):
    """Tensors and state that tell which save they belong to, in every file."""
    values = torch.arange(float(size)) + number
    return {"net": {"w": values}, "ema": {"w": values / 2}}, {"number": number}


def store(folder, seen, number=None):
    tensors, state = content(number or seen)
    return checkpoint.save(folder, seen, tensors, state)


def whole_number(folder):
    """The number that every file of the latest checkpoint agrees on, None where there is none."""
    checkpoint.sweep(folder)
    found = checkpoint.latest(folder)
    assert not [p for p in folder.glob(".*") if p.name != ".lock"], "the sweep left something"
    if found is None:
        return None
    tensors, state = checkpoint.read(found.path)
    wanted, _ = content(state["number"])
    assert all(tensors[part]["w"].equal(wanted[part]["w"]) for part in wanted), "mixed"
    return state["number"]


STORIES = {
    # name: (counts that stand before, the save in question, the numbers allowed afterwards)
    "first": ((), partial(store, seen=100, number=9), {None, 9}),
    "newer, older dropped": ((100, 200), partial(store, seen=300, number=9), {200, 9}),
    "same count, other content": ((100,), partial(store, seen=100, number=9), {100, 9}),
    "back on a branch": ((100, 200), partial(store, seen=150, number=9), {200, 9}),
}


@pytest.mark.parametrize("name", STORIES)
def test_killed_at_every_operation(name, tmp_path):
    """Fails if any step of a save leaves a moment in which neither old nor new can be used."""
    before, save, allowed = STORIES[name]
    for seen in before:
        store(tmp_path / "model", seen)
    (tmp_path / "model").mkdir(exist_ok=True)
    shutil.copytree(tmp_path / "model", tmp_path / "trial")
    number = count_operations(lambda: save(tmp_path / "trial"))
    assert number > 15
    seen_after = set()
    for point in range(1, number + 2):
        shutil.rmtree(tmp_path / "trial")
        shutil.copytree(tmp_path / "model", tmp_path / "trial")
        status = killed_at(point, lambda: save(tmp_path / "trial"))
        assert status == (-9 if point <= number else 0)
        seen_after.add(whole_number(tmp_path / "trial"))
    assert seen_after == allowed


def possible_disks(folder, save, tmp_path, deaf=""):
    """(events done, of how many, the folder a power cut then leaves), for a few hundred cuts."""
    before = snapshot(folder)
    log = PowerLog(folder, deaf=deaf)
    with disk(log.act):
        save(folder)
    rng = random.Random(7)
    for done in range(len(log.events) + 1):
        for trial in range(9 if done < len(log.events) else 30):
            target = tmp_path / f"cut{done}-{trial}"
            log.after(done, before).put(target, rng)
            yield done == len(log.events), target
            shutil.rmtree(target)


@pytest.mark.parametrize("name", STORIES)
def test_power_cut_anywhere(name, tmp_path):
    """Fails if a rename comes before a sync it depends on: 0-byte, torn or lost files count."""
    before, save, allowed = STORIES[name]
    folder = tmp_path / "model"
    folder.mkdir()
    for seen in before:
        store(folder, seen)
    cuts = 0
    for finished, target in possible_disks(folder, save, tmp_path):
        assert whole_number(target) in ({9} if finished else allowed)
        cuts += 1
    assert cuts > 150


@pytest.mark.parametrize("deaf", ["file", "folder"])
def test_the_power_cut_bites(deaf, tmp_path):
    """Fails if the replay would pass a save without its syncs: then it proves nothing."""
    folder = tmp_path / "model"
    store(folder, 100)
    store(folder, 200)
    results = []
    for finished, target in possible_disks(
        folder, STORIES["newer, older dropped"][1], tmp_path, deaf
    ):
        try:
            results.append(whole_number(target) in ({9} if finished else {200, 9}))
        except ValueError:
            results.append(False)
    assert not all(results)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.EFBIG])
def test_every_operation_may_fail(code, tmp_path):
    """Fails if an error of the disk is swallowed, has no place in it, or costs a checkpoint."""
    folder = tmp_path / "model"
    store(folder, 100)
    store(folder, 200)
    shutil.copytree(folder, tmp_path / "trial")
    number = count_operations(lambda: store(tmp_path / "trial", 300))
    for point in range(1, number):
        shutil.rmtree(tmp_path / "trial")
        shutil.copytree(folder, tmp_path / "trial")
        act = failing_at(point, code)
        try:
            with disk(act):
                store(tmp_path / "trial", 300)
        except CannotWrite as fault:
            assert fault.code == 74
            assert "step-000000300" in fault.where
        else:
            # From here on only clean-ups were left, which this disk still allows.
            assert whole_number(tmp_path / "trial") == 300
        assert whole_number(tmp_path / "trial") in (200, 300)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 3 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk(small_disk, monkeypatch):
    """Fails if a disk that fills up at any point of the save harms the checkpoint before it."""
    store(small_disk, 100)
    monkeypatch.setattr(files, "free_space", lambda _folder: 1 << 40)
    room = os.statvfs(small_disk)
    free = room.f_bavail * room.f_frsize
    refused = 0
    for left in range(0, 20 * 4096, 4096):
        (small_disk / "filler").write_bytes(bytes(free - left))
        try:
            store(small_disk, 200)
        except CannotWrite as fault:
            refused += 1
            assert "full" in fault.what
            assert whole_number(small_disk) == 100
        (small_disk / "filler").unlink()
        shutil.rmtree(small_disk / "step-000000200", ignore_errors=True)
    assert 3 <= refused < 20
    store(small_disk, 200)
    assert whole_number(small_disk) == 200


def test_a_checkpoint_that_cannot_fit_is_not_begun(small_disk):
    """Fails if the space is not asked for first: the half-written file would fill the disk."""
    store(small_disk, 100)
    tensors = {"net": {"w": torch.zeros(1 << 20)}}
    changes = []
    with (
        disk(lambda _count, name, call, _args: (changes.append(name), call())[1]),
        pytest.raises(CannotWrite, match="disk is full: a checkpoint needs 5 MiB, 2 are free"),
    ):
        checkpoint.save(small_disk, 200, tensors, {})
    assert changes == []


def test_read_only_disk(small_disk):
    """Fails if a read-only place is silent, as root ignores permission bits."""
    store(small_disk, 100)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(CannotWrite, match="read-only"):
        store(small_disk, 200)
    assert checkpoint.latest(small_disk).seen == 100


def test_file_size_limit(tmp_path):
    """Fails if the limit of the process (EFBIG) ends in anything but one line and the old state."""
    import resource

    store(tmp_path, 100)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            store(tmp_path, 200)
        except CannotWrite as fault:
            code = fault.code if "may write" in fault.what else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 74
    assert whole_number(tmp_path) == 100
