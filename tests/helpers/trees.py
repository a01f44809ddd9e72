"""What a folder holds, to the bit, and what refuses it."""

import os
from hashlib import sha256

import pytest

from unmist.base.faults import BadInput
from unmist.data.opening import open_data


def digest_of(root):
    """Every name, kind, time and byte below a folder."""
    told = []
    for path in sorted(root.rglob("*"), key=os.fsencode):
        status = path.lstat()
        body = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        told.append((os.fsencode(path), status.st_mode, status.st_mtime_ns, sha256(body).digest()))
    return told


def refused(source, **how):
    with pytest.raises(BadInput) as fault:
        open_data(source, **how)
    line = str(fault.value)
    assert "\n" not in line
    assert len(line) < 600
    return line
