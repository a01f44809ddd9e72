"""A folder of pictures and a cache of its own."""

import pytest
from pictures import photo


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNMIST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path, cache):
    """Six pictures in two classes."""
    root = tmp_path / "birds"
    for kind in ("crow", "owl"):
        (root / kind).mkdir(parents=True)
        for i in range(3):
            photo(i + 10 * (kind == "owl")).save(root / kind / f"{i}.png")
    return root
