"""`scan`: decode everything once, report on it, and leave the index that training reads."""

import os
from dataclasses import dataclass
from pathlib import Path

from unmist.base.faults import BadInput
from unmist.data.dataset import DataSet, assemble
from unmist.data.folder import scan_folder
from unmist.data.opening import located, other_rows
from unmist.data.reading import PLAIN, Reading
from unmist.data.report import Report, reported
from unmist.data.tree import shown

__all__ = ["Scan", "scan"]


@dataclass(frozen=True, eq=False)
class Scan:
    """A source just scanned: its report, and the data set, whose contact sheet can be drawn."""

    report: Report
    data: DataSet


def scan(
    source: str | os.PathLike,
    reading: Reading = PLAIN,
    *,
    cache: str | os.PathLike | None = None,
) -> Scan:
    """Scan a source. A folder's files are all decoded anew, drifted or not, and its index replaced.

    Unusable files are reported, not raised: BadInput only where there is no such source or nothing
    in it can be used.
    """
    place = located(source)
    index = None
    if isinstance(place, Path) and place.is_dir():
        rows, index = scan_folder(place, reading, None if cache is None else Path(cache))
        if not index.good:
            _refuse_empty(str(place), tuple(map(str, index.unusable)))
    else:
        rows = other_rows(place, reading, cache)
    assert rows.group is not None
    data = assemble(rows)
    return Scan(reported(data, rows.group, index), data)


def _refuse_empty(folder: str, reasons: tuple[str, ...]) -> None:
    what = f"no picture that can be used: {', '.join(reasons[:3])}" if reasons else "no pictures"
    raise BadInput(
        what,
        where=shown(folder),
        mend="give a folder of PNG, JPEG, WebP, GIF, BMP, TIFF, PPM or AVIF files",
    )
