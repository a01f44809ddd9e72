"""`unmist doctor`."""

from dataclasses import asdict

from unmist.cli.output import emit

__all__ = ["doctor"]

MARKS = {"good": "ok", "note": "note", "bad": "BAD"}


def doctor(*, json: bool = False) -> int:
    """Check versions, processor, memory, speed, packages, and where can be written.

    Ends with 1 where something is bad.

    Parameters
    ----------
    json
        Print one JSON object instead of lines.
    """
    from unmist.workflows.doctor import doctor as checkup

    findings = checkup()
    if json:
        emit({found.name: asdict(found) for found in findings})
    else:
        for found in findings:
            print(f"{MARKS[found.state]:5} {found.name:12} {found.text}")
    return int(any(found.state == "bad" for found in findings))
