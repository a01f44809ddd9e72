"""Checkpoints: a folder each, which stands whole or not at all and vouches for every byte.

    state/step-000012800/    net.safetensors  ema.safetensors  …  state.json  MANIFEST.json

The number counts samples seen. The manifest lists size and SHA-256 of every file and of itself.
Nothing is unpickled. Older checkpoints go only after the new one is safe on the disk.
"""

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from unmist.base import files
from unmist.base.faults import BadInput, CannotWrite
from unmist.run import weights

__all__ = ["Found", "latest", "read", "save", "sweep"]

FORMAT = 1
MANIFEST = "MANIFEST.json"
TRASH = ".trash-"
MOST_JSON = 16 << 20
MARGIN = 1 << 20

Tensors = dict[str, dict[str, Tensor]]
_STEP = re.compile(r"step-(\d{9,15})")
_FILE = re.compile(r"[a-z][a-z0-9_]{0,63}\.(safetensors|json)")
_DAMAGED = "it was damaged or altered; use an earlier checkpoint or a copy"


@dataclass(frozen=True)
class Found:
    """The newest checkpoint that verifies; `notices` say in one line each what was passed over."""

    path: Path
    seen: int
    notices: tuple[str, ...] = ()


def save(
    folder: Path, seen: int, tensors: Tensors, state: dict[str, object], *, keep: int = 2
) -> Path:
    """Write the checkpoint at `seen` samples into `folder`; keep it and the `keep` - 1 before it.

    It is the latest from then on: checkpoints ahead of it, of a branch rolled back, go too.
    `tensors` maps file names without suffix to named tensors; `state` is JSON. Equal arguments
    give equal bytes. Raises CannotWrite (the earlier checkpoints still stand) and Diverged where a
    tensor is not finite: nothing unusable reaches the disk.
    """
    assert keep >= 2
    assert 0 <= seen < 10**15
    path = folder / f"step-{seen:09d}"
    contents = {f"{name}.safetensors": weights.packed(name, part) for name, part in tensors.items()}
    contents["state.json"] = (files.json_text(state) + "\n").encode()
    contents[MANIFEST] = _manifest(seen, contents)
    _preflight(folder, contents)
    with files.told(path):
        _publish(path, contents)
        _prune(folder, seen, keep)
    return path


def _publish(path: Path, contents: dict[str, bytes]) -> None:
    """Make the checkpoint folder; one standing at the same count is exchanged if it differs."""
    stands = path.is_dir()
    if stands and _holds(path, contents[MANIFEST]):
        return
    with files.whole_folder(path) as beside:
        for name, content in contents.items():
            files.create(beside / name, content)
        if stands:
            # A crash between this rename and the next loses nothing: sweep() completes the new one.
            files.sync(beside)
            _discard(path)


def _discard(path: Path) -> None:
    """Out of sight by a rename, so that no checkpoint is ever seen half deleted."""
    trash = path.parent / f"{TRASH}{path.name}"
    files.remove(trash)
    files.move(path, trash)


def _holds(path: Path, manifest: bytes) -> bool:
    try:
        _verified(path)
    except BadInput:
        return False
    return (path / MANIFEST).read_bytes() == manifest


def _prune(folder: Path, seen: int, keep: int) -> None:
    """Drop the older ones, and those ahead of `seen`: the run went back and left that branch."""
    steps = _steps(folder)
    kept = sorted((count for count in steps if count <= seen), reverse=True)[:keep]
    for count in sorted(steps.keys() - set(kept)):
        _discard(steps[count])
    for path in folder.glob(f"{TRASH}*"):
        files.remove(path)


def sweep(folder: Path) -> None:
    """Clear what a crash left behind. Call it at the start, with the folder's lock held.

    A new checkpoint that was complete but not yet in its place is put there: so even where one
    replaces another at the same count, a crash leaves the old or the new.
    """
    if not folder.is_dir():
        return
    with files.told(folder):
        for path in sorted(folder.glob(f"{files.TEMPORARY}*")):
            _complete(path)
        for pattern in (f"{files.TEMPORARY}*", f"{TRASH}*"):
            for path in folder.glob(pattern):
                files.remove(path)


def _complete(path: Path) -> None:
    try:
        seen = _read_manifest(path)[0]
        _verified(path, seen)
    except BadInput:
        return
    target = path.parent / f"step-{seen:09d}"
    if not target.exists():
        files.move(path, target)


def latest(folder: Path) -> Found | None:
    """The checkpoint with the highest count whose manifest verifies; None where there is none yet.

    Only names and contents count, never the clock. Raises BadInput where checkpoints are there but
    none of them can be used: starting over silently would lose the run.
    """
    steps = _steps(folder)
    notices: list[str] = []
    for seen in sorted(steps, reverse=True):
        try:
            _verified(steps[seen])
        except BadInput as fault:
            notices.append(f"{steps[seen].name} passed over: {Path(fault.where).name} {fault.what}")
        else:
            return Found(steps[seen], seen, tuple(notices))
    if notices:
        mend = "start anew in another folder"
        raise BadInput(f"no usable checkpoint ({'; '.join(notices)})", where=folder, mend=mend)
    return None


def read(path: Path) -> tuple[Tensors, dict[str, object]]:
    """Tensors and state of one checkpoint folder, every byte verified. Raises BadInput."""
    contents = _verified(path)
    state = files.parse_json(contents.pop("state.json"), where=path / "state.json")
    if not isinstance(state, dict):
        raise BadInput("holds no table", where=path / "state.json", mend=_DAMAGED)
    tensors = {
        Path(name).stem: weights.unpacked(body, path / name) for name, body in contents.items()
    }
    return tensors, state


def _steps(folder: Path) -> dict[int, Path]:
    """Checkpoint folders by their count; links and files of such a name are not looked at."""
    if not folder.is_dir():
        return {}
    found = {path: _STEP.fullmatch(path.name) for path in folder.iterdir()}
    return {
        int(match[1]): path
        for path, match in found.items()
        if match and stat.S_ISDIR(path.lstat().st_mode)
    }


def _manifest(seen: int, contents: dict[str, bytes]) -> bytes:
    listed = {
        name: {"size": len(content), "sha256": files.digest(content)}
        for name, content in contents.items()
    }
    body = {"format": FORMAT, "seen": seen, "files": listed}
    return _sealed(body)


def _sealed(body: dict[str, object]) -> bytes:
    """The manifest's only valid bytes: canonical JSON with a digest of itself."""
    seal = files.digest(files.json_text(body).encode())
    return (files.json_text({**body, "sha256": seal}) + "\n").encode()


def _read_manifest(folder: Path) -> tuple[int, dict[str, dict[str, object]]]:
    """Count and file table of a manifest whose own digest is right and whose names are harmless."""
    where = folder / MANIFEST
    content = files.read_bytes(where, most=MOST_JSON)
    body = files.parse_json(content, where=where)
    if not isinstance(body, dict):
        raise BadInput("holds no table", where=where, mend=_DAMAGED)
    version = body.get("format")
    if isinstance(version, int) and version > FORMAT and _sealed(_unsealed(body)) == content:
        what = f"is of format {version}, this version reads {FORMAT}"
        raise BadInput(what, where=where, mend="update unmist")
    if version != FORMAT or _sealed(_unsealed(body)) != content:
        raise BadInput("is not as it was written", where=where, mend=_DAMAGED)
    seen, listed = body.get("seen"), body.get("files")
    if not isinstance(seen, int) or not isinstance(listed, dict) or "state.json" not in listed:
        raise BadInput("lacks its count or its files", where=where, mend=_DAMAGED)
    for name in listed:
        if not _FILE.fullmatch(name):
            raise BadInput(f"{name[:80]!r} is no name for a file of ours", where=where)
    return seen, listed


def _unsealed(body: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in body.items() if key != "sha256"}


def _verified(folder: Path, seen: int | None = None) -> dict[str, bytes]:
    """Contents of all files of a checkpoint, each compared with the manifest. Raises BadInput."""
    counted, listed = _read_manifest(folder)
    match = _STEP.fullmatch(folder.name)
    expected = int(match[1]) if match else seen
    if counted != expected:
        raise BadInput(f"belongs to step {counted}, not {expected}", where=folder / MANIFEST)
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    for name in sorted(present - listed.keys()):
        raise BadInput("is not in the manifest", where=folder / name, mend="take it away")
    for name in sorted(listed.keys() - present):
        raise BadInput("is missing", where=folder / name, mend=_DAMAGED)
    return {name: _checked(folder / name, listed[name]) for name in sorted(listed)}


def _checked(path: Path, entry: object) -> bytes:
    content = files.read_bytes(path, most=weights.MOST_BYTES)
    if entry != {"size": len(content), "sha256": files.digest(content)}:
        raise BadInput("differs from what the manifest says", where=path, mend=_DAMAGED)
    return content


def _preflight(folder: Path, contents: dict[str, bytes]) -> None:
    """Refuse before the first byte where there is no room: a full disk harms others too."""
    with files.told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    needed, there = sum(map(len, contents.values())) + MARGIN, files.free_space(folder)
    if needed > there:
        what = f"the disk is full: a checkpoint needs {needed >> 20} MiB, {there >> 20} are free"
        raise CannotWrite(what, where=folder, mend="free some space, then repeat to resume")
