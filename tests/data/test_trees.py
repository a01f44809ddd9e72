"""Strange trees: what is read, what is refused and why, and that nothing of the user's changes."""

import os
import socket
from pathlib import Path

import pytest
from pictures import photo, saved
from PIL import Image
from trees import digest_of, refused

from unmist.base.faults import BadInput
from unmist.data.opening import open_data
from unmist.data.reading import Reading
from unmist.data.scan import scan


def _loop(root):
    (root / "owl" / "loop").symlink_to(root)
    (root / "owl" / "self.png").symlink_to("self.png")


def _device(root):
    (root / "owl" / "null.png").symlink_to("/dev/null")


def _socket(root):
    here = os.getcwd()
    os.chdir(root / "owl")  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("s.png")
    finally:
        os.chdir(here)


def _put(name, body=b"\xff\xd8\xff junk"):
    def put(root):
        (Path(os.fsdecode(os.path.join(os.fsencode(root), name)))).write_bytes(body)

    return put


TREES = {
    "pipe": (lambda root: os.mkfifo(root / "owl/p.png"), "owl/p.png: is a pipe, not a file"),
    "socket": (_socket, "owl/s.png: is a socket, not a file"),
    "device": (_device, "owl/null.png: is a device, not a file"),
    "dangling link": (
        lambda root: (root / "owl/d.png").symlink_to("/nowhere/at/all.png"),
        "owl/d.png: is not there (moved, or a link to nothing)",
    ),
    "link to itself": (_loop, "owl/self.png: cannot be read"),
    "svg": (_put(b"a.svg"), "a.svg: .svg is not read: save it as PNG or JPEG"),
    "pdf": (_put(b"a.PDF"), "a.PDF: .pdf is not read"),
    "newline in the name": (_put(b"a\nb.png"), r"a\nb.png: is a JPEG"),
    "escape in the name": (_put(b"\x1b[31m.png"), r"\x1b[31m.png: is a JPEG"),
    "no UTF-8 in the name": (_put(b"\xff\xfe.png"), r"\udcff\udcfe.png: is a JPEG"),
    "dash in the name": (_put(b"-rf.png"), "-rf.png: is a JPEG"),
    "long name": (_put(b"n" * 250 + b".png"), "nnnnnnnn.png: is a JPEG"),
    "upper case": (_put(b"A.JPG"), "A.JPG: is a JPEG"),
}


@pytest.mark.parametrize("name", TREES)
def test_strange_entries_are_named_with_their_reason(folder, name):
    """Fails if a strange entry hangs, crashes, is read, or garbles the terminal."""
    make, told = TREES[name]
    make(folder)
    before = digest_of(folder)
    assert told in refused(folder)
    assert len(open_data(folder, on_bad="skip")) == 6
    assert digest_of(folder) == before


def test_loops_of_folders_are_walked_once(folder):
    """Fails if a link back to the root doubles the pictures, or never ends."""
    (folder / "owl" / "loop").symlink_to(folder)
    found = scan(folder).report
    assert found.count == 6
    assert found.others["link to a folder already read"] == 1


def test_odd_but_sound_names_are_read(folder):
    """Fails if a name that is no UTF-8 is lost on the way through the index."""
    odd = os.path.join(os.fsencode(folder), b"owl", b"\xff\n-.png")
    with open(odd, "wb") as file:
        file.write(saved(photo(99), "PNG"))
    for _ in range(2):
        data = open_data(folder)
        assert r"owl/\udcff\n-.png" in data.sources
        assert len(data) == 7


def test_links_to_pictures_and_folders_are_followed(folder, tmp_path):
    """Fails if a linked picture is ignored: data sets are often links."""
    photo(55).save(tmp_path / "outside.png")
    (folder / "owl" / "link.png").symlink_to(tmp_path / "outside.png")
    assert len(open_data(folder)) == 7


def test_hidden_files_are_passed_over(folder):
    """Fails if a thumbnail cache or a resource fork is taken for data."""
    (folder / "owl" / "._0.png").write_bytes(b"junk")
    (folder / ".thumbs").mkdir()
    photo(3).save(folder / ".thumbs" / "0.png")
    assert len(open_data(folder)) == 6


def test_a_file_that_vanishes_is_named(folder, monkeypatch):
    """Fails if a file lost between listing and reading ends the scan without its name."""
    real = Path.read_bytes

    def gone(path):
        if path.name == "1.png":
            raise FileNotFoundError(2, "No such file or directory")
        if path.name == "2.png":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", gone)
    line = refused(folder)
    assert "crow/1.png: cannot be read (No such file or directory)" in line
    assert "crow/2.png: cannot be read (Permission denied)" in line


def test_sources_that_are_none(tmp_path, cache):
    """Fails if a wrong source is not refused in one line with its mend."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no picture that can be used" in refused(empty)
    assert "did you mean 'digits'?" in refused("digit")
    assert "no such folder" in refused(tmp_path / "missing")
    assert "no such folder" in refused("a\0b")
    assert "no such folder" in refused("x" * 5000)
    photo(1).save(tmp_path / "one.png")
    assert "neither a folder nor an array; give its folder" in refused(tmp_path / "one.png")
    with pytest.raises(BadInput, match="no pictures"):
        scan(empty)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"size": 0}, "size: 0x0 is outside 1"),
        ({"size": 10**9}, "is outside 1"),
        ({"fit": "crp"}, "fit: no choice 'crp'; did you mean 'crop'?"),
        ({"background": "whit"}, "no colour called 'whit'"),
        ({"channels": 2}, "channels: no choice 2"),
        ({"on_bad": "ignore"}, "on_bad: no choice 'ignore'"),
        ({"layout": "middle"}, "layout: no choice 'middle'"),
    ],
)
def test_wrong_settings_are_refused(how, told):
    """Fails if a mistyped setting is taken for a default."""
    assert told in refused("digits", **how)


def test_classes_that_differ_in_case_only_are_refused(folder):
    """Fails if Owl and owl become two classes."""
    (folder / "Owl").mkdir()
    photo(60).save(folder / "Owl" / "0.png")
    assert "classes 'Owl' and 'owl' differ in case only" in refused(folder)


def test_folders_called_train_and_test_are_no_classes(folder, tmp_path):
    """Fails if the usual splits become the two classes to learn."""
    for part in ("train", "test"):
        (tmp_path / "set" / part).mkdir(parents=True)
    for kind, part in (("crow", "train"), ("owl", "train")):
        (folder / kind).rename(tmp_path / "set" / part / kind)
    photo(70).save(tmp_path / "set" / "test" / "loose.png")
    data = open_data(tmp_path / "set")
    assert data.classes == ("crow", "owl")
    assert data.labels.tolist() == [-1, 0, 0, 0, 1, 1, 1]


def test_every_file_is_decoded_by_scan_even_when_known(folder, monkeypatch):
    """Fails if `scan` trusts the cache: it is the user's way to look again."""
    open_data(folder)
    seen = []
    from unmist.data import decoding

    real = decoding.decoded
    monkeypatch.setattr(decoding, "decoded", lambda raw, how: seen.append(1) or real(raw, how))
    scan(folder, Reading())
    assert len(seen) == 6


def test_large_pictures_are_capped_by_their_header(folder):
    """Fails if the cap given to open_data does not reach the decoder."""
    Image.new("L", (200, 100)).save(folder / "owl" / "big.png")
    assert "owl/big.png: 200x100 is 0.0 Mpx" in refused(folder, pixel_cap=19_999)
