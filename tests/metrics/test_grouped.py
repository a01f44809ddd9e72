import numpy as np
import pytest
import torch

from unmist.base.faults import BadInput
from unmist.metrics.frechet import Moments
from unmist.metrics.grouped import Groups


def _draw(count, width=3, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, width))) + 5


def _same(one, other):
    for a, b in zip(one.parts, other.parts, strict=True):
        assert a.count == b.count
        torch.testing.assert_close(a.mean, b.mean, rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(a.scatter, b.scatter, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("sizes", [[1000], [1, 2, 397, 600], [100] * 10])
def test_row_i_is_in_group_i(sizes):
    """Fails if a part starts anew at group 0, or a row is lost where parts are gathered."""
    x = _draw(1000)
    groups = Groups.over(x.split(sizes), count=7)
    _same(groups, Groups(tuple(Moments.of(x[g::7]) for g in range(7))))
    torch.testing.assert_close(groups.total.scatter, Moments.of(x).scatter, rtol=1e-11, atol=1e-11)


def test_long_streams_are_counted_in_parts():
    """Fails if what was gathered first is forgotten or shifts the later rows' groups."""
    x = _draw(4001)
    _same(
        Groups.over(x.split(33), count=4),
        Groups(tuple(Moments.of(x[g::4]) for g in range(4))),
    )


def test_processes_merge_to_the_whole():
    """Fails if `first` is not the number of the first row, or a group without rows spoils others:
    the second process sees two rows only."""
    x = _draw(93)
    parts = Groups.over([x[:91]], count=5).merged(Groups.over([x[91:]], first=91, count=5))
    _same(parts, Groups.over([x], count=5))


def test_without_leaves_one_group_out():
    """Fails if taking away is not the inverse of merging, at a mean far from zero."""
    x = _draw(60) + 1e3
    for group, less in enumerate(Groups.over([x], count=6).without()):
        rest = Moments.of(x[torch.arange(60) % 6 != group])
        assert less.count == 50
        torch.testing.assert_close(less.mean, rest.mean, rtol=1e-13, atol=0)
        torch.testing.assert_close(less.scatter, rest.scatter, rtol=1e-9, atol=1e-9)


def test_groups_come_back_from_their_tensors():
    """Fails if a count, a mean or a scatter is lost, or foreign tensors are taken."""
    groups = Groups.over([_draw(30)], count=4)
    back = Groups.restored(groups.tensors())
    _same(back, groups)
    assert all(isinstance(part.count, int) for part in back.parts)
    with pytest.raises(BadInput, match="no groups of moments"):
        Groups.restored({"counts": torch.zeros(3)})


def test_refusals():
    """Fails if one group, no rows, or groups of two kinds give moments."""
    with pytest.raises(BadInput, match="1 groups"):
        Groups.over([_draw(30)], count=1)
    with pytest.raises(BadInput, match="no features came"):
        Groups.over([])
    with pytest.raises(BadInput, match="do not merge"):
        Groups.over([_draw(30)], count=4).merged(Groups.over([_draw(30)], count=5))
