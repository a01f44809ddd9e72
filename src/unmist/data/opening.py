"""`open_data`: one door for every source."""

from unmist.base.faults import BadInput
from unmist.base.kinds import did_you_mean
from unmist.data.builtin import BUILT_IN, built_in
from unmist.data.dataset import DataSet, assemble

__all__ = ["open_data"]


def open_data(source: str) -> DataSet:
    """A built-in set by name."""
    if source not in BUILT_IN:
        raise BadInput(f"no data set called '{source}'", mend=did_you_mean(source, list(BUILT_IN)))
    return assemble(built_in(source))
