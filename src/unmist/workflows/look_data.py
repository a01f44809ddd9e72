"""A data set looked at: what a scan found, and a contact sheet."""

from dataclasses import dataclass
from pathlib import Path

from unmist.data.report import Report
from unmist.data.scan import scan
from unmist.data.sheet import contact_sheet
from unmist.run.picture import as_pixels, save_picture

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
    told: dict[str, object] = {
        "kind": "contact sheet",
        "data": found.data.name,
        "fingerprint": found.data.fingerprint,
        "rows": len(found.data),
        "shape": list(found.data.shape),
    }
    save_picture(to, as_pixels(contact_sheet(found.data)), told)
    return DataLook(found.report, to)
