"""A data set looked at: what a scan found, and a contact sheet."""

from dataclasses import dataclass
from pathlib import Path

from unmist.base import files
from unmist.data.report import Report
from unmist.data.scan import scan
from unmist.data.sheet import contact_sheet

__all__ = ["DataLook", "look_data"]


@dataclass(frozen=True)
class DataLook:
    """The report of a scan, and where the contact sheet is."""

    report: Report
    sheet: Path


def look_data(source: str, to: Path, *, cache: Path | None = None) -> DataLook:
    """Decode everything once, leave the index that training reads and a contact sheet at `to`.

    Raises BadInput where there is no such source, CannotWrite where `to` cannot be written.
    """
    found = scan(source, cache=cache)
    sheet = contact_sheet(found.data)
    with files.told(to.parent):
        to.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(to) as beside:
        sheet.save(beside, format="PNG")
    return DataLook(found.report, to)
