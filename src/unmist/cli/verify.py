"""`unmist verify`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from unmist.base.faults import BadInput
from unmist.cli.output import emit, note

if TYPE_CHECKING:
    from unmist.workflows.audit import Audit
    from unmist.workflows.verify import Verified

__all__ = ["verify"]

DOUBTED = 3
MARKS = ("watermark", "noise")  # they say their odds themselves


def verify(
    *pictures: Path, ledger: Path | None = None, keys: Path | None = None, head: str = "",
    model: Path | None = None, json: bool = False,
) -> int:  # fmt: skip
    """Ask a picture what it is, who made it and whether it was changed; or check a whole ledger.

    Ends with code 3 where a picture is not known unchanged, or a ledger does not hold.

    Parameters
    ----------
    pictures
        The pictures to ask; none: only the ledger is checked.
    ledger
        A folder that `unmist publish` wrote (default: the picture's own).
    keys
        Your folder of keys, for the watermark (default: your own, or UNMIST_KEYS).
    head
        The ledger's head as it was told earlier: finds also that all of it was cut back.
    model
        The model that may have drawn it: its noise mark is looked for (`sample --mark`).
    json
        Print one JSON object a picture, or for the ledger, on stdout.
    """
    if not pictures and ledger is None:
        mend = "give a picture, or --ledger FOLDER"
        raise BadInput("neither a picture nor a ledger is named", where="verify", mend=mend)
    if pictures and head:
        raise BadInput(
            "--head is for a ledger alone", where="verify", mend="leave the pictures out"
        )
    sound = True
    if not pictures and ledger is not None:
        return _audited(ledger, keys, head, json=json)
    for picture in pictures:
        from unmist.workflows.verify import verify as ask

        asked = ask(picture, ledger, keys, model)
        emit({**vars(asked), "known": asked.known}) if json else print("\n".join(_lines(asked)))
        sound = sound and asked.known
    return 0 if sound else DOUBTED


def _audited(ledger: Path, keys: Path | None, head: str, *, json: bool) -> int:
    """A whole ledger; the exit code."""
    from unmist.workflows.audit import audit

    found = audit(ledger, keys, head=head)
    emit(found) if json else print("\n".join(_audit_lines(found)))
    return DOUBTED if found.faults else 0


def _lines(asked: "Verified") -> Iterator[str]:
    yield str(asked.file)
    yield f"  what         {asked.what}"
    yield f"  who          {asked.who}"
    yield f"  changed      {asked.changed}"
    for found in asked.found:
        odds = "" if found.log10_p is None or found.witness in MARKS else _odds(found.log10_p)
        yield f"  {found.witness:12} {found.said}{odds}"


def _odds(log10_p: float) -> str:
    return f" [by accident: 1 in 10^{-log10_p:.0f}]"


def _audit_lines(found: "Audit") -> Iterator[str]:
    yield f"{found.folder}: {found.published} published, {found.refused} refused"
    yield from (f"  altered: {fault}" for fault in found.faults)
    yield from (f"  note: {line}" for line in found.notes)
    if not found.faults:
        yield "  every line and every picture is as it was written"
    note("note the head elsewhere, and give it next time by --head: only so a cut-back is found")
    yield f"  head {found.head}"
