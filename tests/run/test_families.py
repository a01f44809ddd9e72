"""What a recipe knows by name, in an interpreter that has imported nothing else."""

import re
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "unmist"
MEMBER = re.compile(
    r'^@(schedules|predictions|draws|weightings|networks|solvers|spacings|conditions)\("(\w+)"\)',
    re.M,
)
ASK = """
from unmist.run.recipe import FAMILIES
for family in FAMILIES.values():
    print(family.family, *family.names())
"""


def test_every_member_of_every_family_can_be_named_in_a_recipe():
    # fails if a part is registered in a file that recipes never import: `network=dit` once was
    told = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    known = {words[0]: set(words[1:]) for words in map(str.split, told.stdout.splitlines())}
    written = [
        found for path in sorted(SOURCE.rglob("*.py")) for found in MEMBER.findall(path.read_text())
    ]
    assert len(written) > 25
    assert [(kind, name) for kind, name in written if name not in known[kind[:-1]]] == []
