"""The lists for readers (names, commands, benchmarks) against what there is."""

import ast
import re
from pathlib import Path

import pytest

import unmist
from unmist.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
NAMES = (ROOT / "docs" / "names.md").read_text()
LINES = re.findall(r"^unmist .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
BENCHMARKS = ROOT / "benchmarks"


def test_the_page_of_names_has_what_import_gives():
    """Fails if a public name is missing from the table, or one there is no longer public."""
    table, *_ = NAMES.partition("## Rooms")
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`(\w+)", row)}
    assert listed == set(unmist.__all__)


@pytest.mark.parametrize("family", ["schedules", "predictions", "solvers"])
def test_the_page_of_names_has_every_member(family):
    """Fails if a part is added to a family without a word, or removed from it."""
    (members,) = re.findall(rf"^\| `{family}` \| family: `([\w ]+)`", NAMES, re.MULTILINE)
    assert set(members.split()) == set(getattr(unmist, family).names())


def test_the_readme_shows_every_command_with_flags_that_exist():
    """Fails if a command is left out of README, or a flag in it is none of that command's."""
    shown = {line.split()[1] for line in LINES}
    assert shown | {"start", "doctor"} == set(COMMANDS)
    for line in LINES:
        words = line.split("#")[0].split()
        files = sorted((ROOT / "src/unmist/cli").glob(f"{words[1]}*.py"))  # its flags apart, too
        source = "\n".join(path.read_text() for path in files)
        arguments = {node.arg for node in ast.walk(ast.parse(source)) if isinstance(node, ast.arg)}
        fields = {
            node.target.id
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        }
        named = set(re.findall(r'Parameter\(name="--([\w-]+)"', source))
        flags = {word[2:] for word in words if word.startswith("--")}
        assert flags <= arguments | fields | named, line


def test_every_benchmark_has_its_section():
    """Fails if a benchmark is added without a section, or an option it shows is gone."""
    text = (BENCHMARKS / "README.md").read_text()
    sources = {path.name: path.read_text() for path in BENCHMARKS.glob("*.py")}
    runs = {name for name, source in sources.items() if '"__main__"' in source}
    sections = dict(re.findall(r"^## (\w+\.py)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(sections) == runs
    for name, section in sections.items():
        own = re.sub(r"^ +(?!python).*$|`pip[^`]*`", "", section, flags=re.MULTILINE)
        assert all(flag in sources[name] for flag in re.findall(r"--\w+", own)), name
