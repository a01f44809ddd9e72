"""Publishing: nothing leaves unchecked, and what leaves can be traced (slide 14).

The way of one picture: read, marked, judged as it will be seen, packed with its settings, signed,
read back, and put into the folder together with its paper and a line of the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.guard.detector import Detector, Seen
from unmist.guard.keys import Identity, keys_home, local_identity, purpose_key, secret_of
from unmist.guard.policy import Policy, Rule, rules
from unmist.guard.verdict import Answer, Passed, Refused, decided
from unmist.guard.watched import CHUNK, answers_of
from unmist.run.model import WEIGHTS
from unmist.run.picture import read_settings
from unmist.run.plain import to_plain
from unmist.run.shipped import MODELS, shipped
from unmist.workflows.detecting import detectors_of, learned_of
from unmist.workflows.parcel import Parcel, Source, disclosure, packed, read_source
from unmist.workflows.shelf import Aside, Shelf, opened, published_name, shelved, withhold

__all__ = ["Outcome", "Release", "publish", "publishing"]


@dataclass(frozen=True, kw_only=True)
class Release:
    """What to publish, where, and by which policy.

    to: the folder that others see; quarantine: of what is refused, beside it by default. model: the
    folder that `unmist train` wrote, against: data in place of its own, for the copies; own:
    detectors for rules of kind "own". keys: a folder of keys, or the user's; identity: who signs,
    or the local one. keyed: whether the ledger is written with the key. plan: judge, write nothing.
    """

    pictures: tuple[Path, ...]
    to: Path
    policy: Policy = field(default_factory=Policy)
    model: Path | None = None
    against: str = ""
    own: tuple[Detector, ...] = ()
    keys: Path | None = None
    identity: Identity | None = None
    quarantine: Path | None = None
    keyed: bool = False
    plan: bool = False

    @property
    def aside(self) -> Path:
        """Where refused pictures go: never inside what others see."""
        return self.quarantine or self.to.with_name(f"{self.to.resolve().name}-quarantine")


@dataclass(frozen=True)
class Outcome:
    """What became of one picture.

    act: "published", "refused", "there already", or with a plan "would be published"; file: where
    it is now; reasons: of a refusal, or the scores.
    """

    source: Path
    act: str
    file: Path | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Desk:
    """All that is the same for every picture."""

    release: Release
    detectors: tuple[Detector, ...]
    parcel: Parcel
    policy: str


def publish(release: Release) -> tuple[Outcome, ...]:
    """`publishing`, drained."""
    return tuple(publishing(release))


def publishing(release: Release) -> Iterator[Outcome]:
    """Judge each picture and publish what passes; one outcome each, in their order.

    Nothing is written before every detector and key is at hand. Stopped at any instant, the same
    call goes on; what was published is not published again, also under another name. Sources stay
    where they are. Raises BadInput, CannotWrite, Busy.
    """
    sources = _listed(release)
    desk = _desk(release, sources)
    if release.plan:
        for part in _parts(sources):
            yield from _planned(desk, part)
        return
    if release.aside.resolve().is_relative_to(release.to.resolve()):
        mend = "choose another --quarantine"
        raise BadInput("the quarantine lies in what is published", where=release.aside, mend=mend)
    with opened(release.to, _ledger_key(release)) as (first, known):
        shelf, done, aside = first, dict(known.files), Aside(release.aside, known)
        for part in _parts(sources):
            for source, verdict in _judged(desk, part, done):
                shelf, outcome, digests = _acted(desk, (shelf, aside), source, verdict, done)
                done.update(digests)
                yield outcome


def _listed(release: Release) -> tuple[Path, ...]:
    """Files as named, and the single pictures of folders. Raises BadInput where there are none."""
    found: list[Path] = []
    for path in release.pictures:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
            found += [p for p in inside if p.stem not in ("grid", "denoising") and p.name[0] != "."]
        elif path.is_file():
            found.append(path)
        else:
            raise BadInput("no such picture or folder", where=path)
    if not found:
        raise BadInput(
            "holds no pictures", where=release.pictures[0] if release.pictures else "publish"
        )
    return tuple(dict.fromkeys(found))


SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def _desk(release: Release, sources: Sequence[Path]) -> _Desk:
    """Detectors and keys, opened. Raises BadInput for the first that is missing."""
    policy = release.policy
    wants_data = any(limit.detector == "copied" for limit in policy.limits)
    model = release.model
    if wants_data and model is None and not release.against:
        model = _model_near(release.pictures) or _model_named(sources)
    learned = learned_of(model, release.against) if wants_data else None
    detectors = detectors_of(policy, learned, release.own)
    home, marks = keys_home(release.keys), policy.marks
    secret = secret_of(home, make=True) if "watermark" in marks or release.keyed else None
    who = (release.identity or local_identity(home)) if "credentials" in marks else None
    key = purpose_key(secret, "watermark") if secret and "watermark" in marks else b""
    text = files.json_text(to_plain(policy, {Rule: rules}))
    return _Desk(release, detectors, Parcel(who, key), files.digest(text.encode()))


def _model_near(pictures: Sequence[Path]) -> Path | None:
    """The run in whose folder the pictures lie, as `unmist sample` leaves them."""
    for path in pictures:
        for folder in list((path / "x").resolve().parents)[:3]:
            if (folder / "recipe.toml").is_file():
                return folder
    return None


def _model_named(sources: Sequence[Path]) -> Path | None:
    """The model that came with the package, where all pictures say that it drew them."""
    try:
        said = {(told.get("model"), told.get("hash")) for told in map(read_settings, sources)}
    except BadInput:  # what is no picture is refused later, by itself
        return None
    for name in shipped():
        if said == {(name, files.digest(MODELS / name / WEIGHTS))}:
            return MODELS / name
    return None


def _ledger_key(release: Release) -> bytes:
    secret = secret_of(keys_home(release.keys), make=release.keyed)
    return purpose_key(secret, "ledger") if secret and release.keyed else b""


def _parts(sources: Sequence[Path]) -> Iterator[Sequence[Path]]:
    return (sources[start : start + CHUNK] for start in range(0, len(sources), CHUNK))


def _planned(desk: _Desk, part: Sequence[Path]) -> Iterator[Outcome]:
    for source, verdict in _judged(desk, part, {}):
        match verdict:
            case Passed():
                yield Outcome(source.path, "would be published", None, _scores(verdict.answers))
            case _:
                yield Outcome(source.path, "would be refused", None, _why(source, verdict))


Verdict = Passed | Refused | None


def _judged(
    desk: _Desk, part: Sequence[Path], done: Mapping[str, str]
) -> Iterator[tuple[Source, Verdict]]:
    """Read, marked and judged; None for what cannot be shown to a detector, or is there already."""
    read = [read_source(path, desk.parcel) for path in part]
    clear = [source for source in read if not source.fault and not _there(source, done)]
    clear = [source for source in clear if source.settings or not desk.release.policy.settings]
    seen = [Seen(source.pixels, source.settings) for source in clear]
    limits = desk.release.policy.limits
    answers = [
        answers_of(detector, limit, seen) if seen else ()
        for detector, limit in zip(desk.detectors, limits, strict=True)
    ]
    verdicts = {
        source.path: decided(source.digest, limits, given)
        for source, *given in zip(clear, *answers, strict=True)
    }
    return ((source, verdicts.get(source.path)) for source in read)


def _there(source: Source, done: Mapping[str, str]) -> str:
    """The published file that this is already, "" where there is none."""
    return next((done[d] for d in (source.file_digest, source.pixel_digest) if d in done), "")


def _acted(
    desk: _Desk,
    places: tuple[Shelf, Aside],
    source: Source,
    verdict: Verdict,
    done: Mapping[str, str],
) -> tuple[Shelf, Outcome, dict[str, str]]:
    """One picture into the folder or aside, or left; the digests that it is known by from now."""
    shelf, aside = places
    if there := _there(source, done):
        return shelf, Outcome(source.path, "there already", shelf.folder / there), {}
    entry = {
        "source": source.file_digest,
        "source_pixels": source.pixel_digest,
        "policy": desk.policy,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if isinstance(verdict, Passed):
        return _published(desk, shelf, source, verdict, entry)
    reasons = _why(source, verdict)
    answers = verdict.answers if isinstance(verdict, Refused) else ()
    refused = Refused(source.digest, answers, reasons)
    picture = source.path.name, source.content
    shelf, place = withhold(shelf, refused, aside, picture, entry)
    return shelf, Outcome(source.path, "refused", place, reasons), {}


def _published(
    desk: _Desk, shelf: Shelf, source: Source, verdict: Passed, entry: dict[str, str]
) -> tuple[Shelf, Outcome, dict[str, str]]:
    name = published_name(shelf.folder, source.path.name, source.file_digest)
    picture = packed(source, name, desk.parcel)
    left_out = list(desk.release.policy.left_out)
    told = {
        "format": 1,
        "file": name,
        "sha256": files.digest(picture),
        "disclosure": disclosure(),
        "settings": dict(source.settings),
        "checks": [
            {"detector": a.detector, "version": a.version, "score": a.score, "below": limit.above}
            for a, limit in zip(verdict.answers, verdict.limits, strict=True)
        ],
        "not_checked": left_out,
        "marks": list(desk.release.policy.marks),
        "unmist": version("unmist"),
        **entry,
        "policy": {"name": desk.release.policy.name, "sha256": desk.policy},
    }
    model = {"model": str(source.settings.get("hash", "")), "not_checked": left_out}
    shelf = shelved(shelf, verdict, name, picture, told, {**entry, **model})
    digests = (files.digest(picture), verdict.picture, source.file_digest, source.pixel_digest)
    outcome = Outcome(source.path, "published", shelf.folder / name, _scores(verdict.answers))
    return shelf, outcome, dict.fromkeys(digests, name)


def _why(source: Source, verdict: Verdict) -> tuple[str, ...]:
    """Why a picture does not pass."""
    if isinstance(verdict, Refused):
        return verdict.reasons
    return (source.fault or "it does not say how it was made",)


def _scores(answers: Sequence[Answer]) -> tuple[str, ...]:
    return tuple(f"{answer.detector} {answer.score:.3g}" for answer in answers)
