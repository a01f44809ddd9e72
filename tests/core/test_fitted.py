"""A listed spacing and the solver with stored gains, where they differ from their plain kin."""

import core_laws as laws
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.core.adams import Adams
from unmist.core.fitted import Fitted, Listed
from unmist.core.level import Level
from unmist.core.plan import descend
from unmist.core.schedules import Exploding, Flow
from unmist.core.spacing import EvenLogSnr
from unmist.core.walk import final, walk

RATIOS = (40.0, 3.0, 1.0, 0.3)
GAINS = ((0.0, 0.0), (0.4, 0.0), (-0.2, 0.1), (0.3, -0.1))
EXACT = laws.mixture()


def end(solver, x, levels):
    """Where a walk through some levels ends."""
    return final(walk(EXACT, x, descend(levels), solver, laws.ids(len(x)))).x


def test_a_list_is_its_own_levels():
    """Fails if the levels are not the ones listed, or another length is not as dense as the list"""
    found = Listed(RATIOS)(Exploding(), 4)
    torch.testing.assert_close(found.ratio, torch.tensor(RATIOS).double())
    stretched = Listed((80.0, 0.01))(Exploding(), 7)
    torch.testing.assert_close(stretched.ratio, EvenLogSnr(low=0.01)(Exploding(), 7).ratio)
    assert Listed((500.0, 1.0))(Exploding(), 2).ratio[0] == pytest.approx(80)
    assert Listed((40.0,))(Flow(), 1).ratio[0] == pytest.approx(40)


@pytest.mark.parametrize("ratios", [(), (1.0, 2.0), (1.0, 0.0), (1.0, 1.0)])
def test_a_list_falls(ratios):
    """Fails if a plan could be made that goes nowhere or up."""
    with pytest.raises(BadInput, match="noisiest first"):
        Listed(ratios)


def test_without_gains_it_is_adams():
    """Fails if the tables alone change a walk."""
    x, levels = laws.normal(6, 2) * 40, Listed(RATIOS)(Exploding(), 4)
    zeros = ((0.0, 0.0),) * 4
    want = end(Adams(3, scale=1.3), x, levels)
    assert torch.equal(end(Fitted(ratios=RATIOS, predict=zeros, correct=zeros), x, levels), want)


def test_gains_count_at_their_own_levels_only():
    """Fails if gains are not used where they were fitted, or are used anywhere else."""
    x, solver = laws.normal(6, 2) * 40, Fitted(ratios=RATIOS, predict=GAINS, correct=GAINS)
    own, plain = Listed(RATIOS)(Exploding(), 4), Adams(3, scale=1.3)
    assert not torch.allclose(end(solver, x, own), end(plain, x, own))
    other = Listed((41.0, 3.1, 1.1, 0.31))(Exploding(), 4)
    assert torch.equal(end(solver, x, other), end(plain, x, other))


def test_rows_have_gains_of_their_own():
    """Fails if, in one batch of levels (b,), a row takes another row's gains."""
    x, solver = laws.normal(2, 2) * 40, Fitted(ratios=RATIOS, predict=GAINS, correct=GAINS)
    plans = [Listed(RATIOS)(Exploding(), 4), Listed((39.0, 2.0, 0.9, 0.2))(Exploding(), 4)]
    alone = [end(solver, x[i : i + 1], plans[i]) for i in range(2)]
    both = Level(
        torch.stack([plan.alpha for plan in plans], 1),
        torch.stack([plan.sigma for plan in plans], 1),
    )
    torch.testing.assert_close(end(solver, x, both), torch.cat(alone), rtol=1e-12, atol=1e-12)


def test_tables_belong_together():
    """Fails if a level may lack its gains."""
    with pytest.raises(BadInput, match="different lengths"):
        Fitted(ratios=RATIOS, predict=GAINS[:3], correct=GAINS)
