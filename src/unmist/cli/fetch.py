"""`unmist fetch`."""

from pathlib import Path

from unmist.cli.output import emit, note

__all__ = ["fetch"]


def fetch(what: str, /, *, to: Path | None = None, address: str = "", json: bool = False) -> int:
    """Fetch published weights that measure pictures; kept only if their hash is right.

    Nothing else in unmist fetches anything.

    Parameters
    ----------
    what
        inception, opennsfw, dino:OWNER/NAME or clip:OWNER/NAME (of the Hugging Face hub).
    to
        A folder other than the user's cache, for the first two.
    address
        Another place of the same file, such as file:///… or a mirror.
    json
        Print one JSON object instead of lines.
    """
    from unmist.workflows.fetch import fetch as get

    note(f"fetching {what} …")
    got = get(what, to=to, address=address)
    if json:
        emit(got)
    else:
        print(got.path)
        print(got.then)
    return 0
