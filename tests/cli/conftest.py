"""One tiny model for all tests of the command line, trained through it."""

from hashlib import sha256

import pytest

from unmist.cli.main import main

TINY = [
    *("--set", "training.samples=256", "--set", "training.batch=32", "--set", "network.width=8"),
    *("--set", "saving.look=256", "--set", "saving.held=256", "--set", "saving.checkpoint=256"),
    *("--set", "sampling.steps=4", "--set", "sampling.solver=unipc"),
    *("--set", "sampling.spacing=karras"),
]


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A finished run of 256 digits; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["train", "digits", "--to", str(folder), *TINY]) == 0
    return folder


@pytest.fixture
def said(capsys):
    """Run a command line: (exit code, stdout, stderr)."""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def snapshot():
    """Every file below a folder, by content."""

    def take(*folders):
        return {
            str(path): sha256(path.read_bytes()).hexdigest()
            for folder in folders
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }

    return take
