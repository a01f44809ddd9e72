"""Files: whole or not at all, refused with their place and mend."""

import errno
import json
import os
import subprocess
import sys

import pytest
from faulty_disk import count_operations, disk, failing_at, killed_at
from PIL import Image

from unmist.base import files
from unmist.base.faults import BadInput, CannotWrite

pytestmark = pytest.mark.filterwarnings("ignore:This process .* fork:DeprecationWarning")

WRITERS = {
    "bytes": lambda path, n: files.write_bytes(path, b"%d" % n * 100),
    "text": lambda path, n: files.write_text(path, f"{n}é" * 100),
    "json": lambda path, n: files.write_json(path, {"b": n, "a": [1.5, None]}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_killed_anywhere_old_or_new(name, tmp_path):
    """Fails if a kill within a write leaves half a file under the true name."""
    write, path = WRITERS[name], tmp_path / "file.json"
    write(path, 2)
    new = path.read_bytes()
    number = count_operations(lambda: write(path, 2))
    found = set()
    for point in range(1, number + 2):
        write(path, 1)
        old = path.read_bytes()
        assert killed_at(point, lambda: write(path, 2)) == (-9 if point <= number else 0)
        assert path.read_bytes() in (old, new)
        found.add(path.read_bytes())
    assert len(found) == 2


REASONS = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free",
    errno.EROFS: "the disk is read-only; choose a folder",
    errno.EACCES: "no permission to write here; choose another",
    errno.EPERM: "no permission to write here; choose another",
    errno.EFBIG: "the file is larger than this process may write; raise",
    errno.EIO: "the disk reports an input/output error; check the disk",
    errno.EMFILE: "Too many open files; ",
}


@pytest.mark.parametrize("code", REASONS)
def test_every_failure_is_told_and_leaves_the_old(code, tmp_path):
    """Fails if an error loses its place or mend, harms the file, or leaves a temporary one."""
    path = tmp_path / "file"
    files.write_text(path, "old")
    number = count_operations(lambda: files.write_text(path, "old"))
    for point in range(1, number):  # the last is the folder's sync, after the rename
        with pytest.raises(CannotWrite) as caught, disk(failing_at(point, code)):
            files.write_text(path, "new")
        assert str(caught.value).startswith(f"{path}: {REASONS[code]}")
        assert caught.value.code == 74
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
        assert path.read_text() == "old"


def test_short_writes_are_finished(tmp_path):
    """Fails if a write that the system does in pieces is taken for done."""

    def act(_count, name, call, args):
        return os.write(args[0], bytes(args[1])[:7]) if name == "write" else call()

    with disk(act):
        files.write_bytes(tmp_path / "file", bytes(range(100)))
    assert (tmp_path / "file").read_bytes() == bytes(range(100))


def test_whole_gives_a_path_with_the_suffix(tmp_path):
    """Fails if writers that choose by suffix cannot work, or a failed one leaves anything."""
    path = tmp_path / "grid.png"
    with files.whole(path) as beside:
        Image.new("L", (3, 2), 7).save(beside)
    assert Image.open(path).getpixel((0, 0)) == 7
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), files.whole(path) as beside:  # noqa: PT012
        beside.write_text("half")
        raise ZeroDivisionError
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_whole_folder(tmp_path):
    """Fails if a folder shows before it is complete, or a failed one stays."""
    with files.whole_folder(tmp_path / "new") as beside:
        files.create(beside / "a", b"1")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new" / "a").read_bytes() == b"1"
    with pytest.raises(ZeroDivisionError), files.whole_folder(tmp_path / "other"):
        raise ZeroDivisionError
    with pytest.raises(CannotWrite), files.whole_folder(tmp_path / "none" / "new"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_umask_is_kept(tmp_path):
    """Fails if files come out closed to the user's group where the umask opens them, or open."""
    for mask, mode in [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)]:
        before = os.umask(mask)
        files.write_text(tmp_path / f"{mask}", "x")
        os.umask(before)
        assert (tmp_path / f"{mask}").stat().st_mode & 0o777 == mode


def test_log_lines_survive_a_kill(tmp_path):
    """Fails if a torn last line spoils the next one, or a whole line is lost."""
    path = tmp_path / "log.jsonl"
    number = count_operations(lambda: files.append_line(tmp_path / "count", "x" * 50))
    for point in range(1, number + 1):
        path.unlink(missing_ok=True)
        files.append_line(path, "first")
        killed_at(point, lambda: files.append_line(path, "second" * 9))
        files.append_line(path, "third")
        assert files.read_lines(path) in (["first", "third"], ["first", "second" * 9, "third"])


def test_log_that_does_not_fit_is_put_back(tmp_path):
    """Fails if a full disk leaves half a line."""
    path = tmp_path / "log"
    files.append_line(path, "first")

    def act(_count, name, call, args):
        if name == "write":
            os.write(args[0], bytes(args[1])[:3])
            raise OSError(errno.ENOSPC, "full")
        return call()

    with pytest.raises(CannotWrite, match="disk is full"), disk(act):
        files.append_line(path, "second")
    assert path.read_text() == "first\n"
    assert files.read_lines(tmp_path / "none") == []
    path.write_text("first\nto")
    assert files.read_lines(path) == ["first"]


def test_long_torn_tail(tmp_path):
    """Fails if the search for the last line end stops at a block's edge."""
    path = tmp_path / "log"
    for size in (4094, 4095, 4096, 4097, 9000):
        path.write_text("first\n" + "x" * size)
        files.append_line(path, "second")
        assert path.read_text() == "first\nsecond\n"


def test_json_is_one_form_and_strict(tmp_path):
    """Fails if equal values give other bytes, or NaN and double keys pass."""
    files.write_json(tmp_path / "a", {"x": 1, "é": [0.1, True]})
    files.write_json(tmp_path / "b", {"é": [0.1, True], "x": 1})
    content = (tmp_path / "a").read_bytes()
    assert content == (tmp_path / "b").read_bytes()
    assert json.loads(content) == {"x": 1, "é": [0.1, True]}
    with pytest.raises(BadInput):
        files.write_json(tmp_path / "c", [float("nan")])
    for text in (b'{"a":1,"a":1}', b"[NaN]", b"[Infinity]", b"\xff", b"[" * 10**5, b"", b"{}x"):
        with pytest.raises(BadInput, match="not readable as JSON"):
            files.parse_json(text, where=tmp_path)


def test_read_bytes_is_bounded(tmp_path):
    """Fails if a huge file, a device or a pipe is read, or a link followed unasked."""
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    assert files.read_bytes(tmp_path / "file", most=5) == b"12345"
    assert files.read_bytes(tmp_path / "link", most=5, links=True) == b"12345"
    for name, words in [
        ("file", "5 bytes, more than 4"),
        ("link", "symbolic"),
        ("pipe", "regular"),
    ]:
        with pytest.raises(BadInput, match=words):
            files.read_bytes(tmp_path / name, most=4)
    for path in ("/dev/zero", tmp_path, tmp_path / "none"):
        with pytest.raises(BadInput):
            files.read_bytes(tmp_path / path, most=4)


def test_digest(tmp_path):
    """Fails if the digest is not SHA-256 (value of FIPS 180-2 for 'abc'), of bytes or files."""
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert files.digest(b"abc") == files.digest(tmp_path / "abc") == wanted


def test_system_calls_are_the_promised_ones(tmp_path):
    """Fails if the order sync, rename, sync of the folder is not what reaches the kernel."""
    code = "import pathlib, sys; from unmist.base import files; "
    code += "files.write_text(pathlib.Path(sys.argv[1]) / 'x', 'y')"
    trace = tmp_path / "trace"
    command = [
        "strace",
        "-f",
        "-y",
        "-e",
        "trace=fsync,rename,renameat,renameat2",
        "-o",
        str(trace),
    ]
    try:
        subprocess.run(
            [*command, sys.executable, "-c", code, tmp_path], check=True, capture_output=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"strace does not run here: {type(error).__name__}")
    lines = [line for line in trace.read_text().splitlines() if str(tmp_path) in line]
    calls = [line.split("(")[0].split()[-1] for line in lines]
    assert calls == ["fsync", "rename", "fsync"]
    assert lines[2].rstrip(" =0").endswith(f"<{tmp_path}>)")
