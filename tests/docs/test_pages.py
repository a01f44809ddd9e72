"""Every code block of the documentation, run as it stands.

A page fails where a block raises, or where what it prints is not the number the page shows, to the
digits shown: that is, when the package no longer does what its documentation says.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sybil import Sybil
from sybil.evaluators.doctest import NUMBER
from sybil.parsers.myst import PythonCodeBlockParser

from unmist.run.recipe import FAMILIES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted([*DOCS.glob("chapters/*.md"), *DOCS.glob("adding/*.md")])
SYBIL = Sybil([PythonCodeBlockParser(doctest_optionflags=NUMBER)], path=str(DOCS), pattern="*.md")


@pytest.fixture
def families() -> Iterator[None]:
    """A page may name new parts; the families forget them afterwards."""
    tables = {name: dict(vars(family)["_table"]) for name, family in FAMILIES.items()}
    yield
    for name, family in FAMILIES.items():
        vars(family)["_table"].clear()
        vars(family)["_table"].update(tables[name])


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The suite runs on two workers of one thread each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("families", "one_thread")
def test_page(page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One test a page, for its blocks share their names and come in order."""
    monkeypatch.chdir(tmp_path)
    examples = list(SYBIL.parse(page))
    assert examples, f"{page.name} has no code block"
    for example in examples:
        example.evaluate()


def test_the_chapters_are_there() -> None:
    """Fails if a page is renamed or lost, and so no longer run."""
    wanted = {"01-noising", "02-forward", "03-unet", "04-training", "05-sampling", "09-schedules"}
    wanted |= {"06-image-to-image", "07-inpainting", "08-text", "10-guidance"}
    wanted |= {"11-measures", "12-diversity", "14-publishing", "15-latent"}
    assert wanted <= {page.stem for page in PAGES}
    wanted = {"schedule", "solver", "network", "guidance", "measurement", "codec"}
    assert wanted <= {page.stem for page in PAGES}
