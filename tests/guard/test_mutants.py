"""The laws of the gate bite: every planted fault of it is found."""

from pathlib import Path

import gate_laws
import mutants
import policy_laws
import pytest

from unmist.guard import policy, verdict


def test_the_gate_holds_its_laws():
    """Fails if anything but complete, finite, in-range, timely scores of the right kind passes."""
    gate_laws.laws(verdict)


def test_the_policy_holds_its_laws():
    """Fails if a policy's limits, defaults or refusals are others than are written down."""
    policy_laws.laws(policy)


@pytest.mark.parametrize(
    ("module", "laws", "least"), [(verdict, gate_laws.laws, 180), (policy, policy_laws.laws, 150)]
)
def test_every_mutant_is_killed(module, laws, least):
    """Fails if one operator, number, word or branch of the gate can be another unseen."""
    count, alive = mutants.survivors(Path(str(module.__file__)), laws)
    assert count > least
    assert alive == []
