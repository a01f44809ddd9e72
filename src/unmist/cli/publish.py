"""`unmist publish`."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from unmist.base.faults import BadInput
from unmist.cli.output import emit, note

if TYPE_CHECKING:
    from unmist.guard.keys import Identity
    from unmist.guard.policy import Policy
    from unmist.workflows.publish import Outcome, Release

__all__ = ["publish"]

REFUSED = 3


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Checking:
    """What a picture must pass.

    Parameters
    ----------
    policy
        A policy in TOML (default: nudity, copies of training pictures, words).
    without
        A detector or mark of the policy to do without; told with each picture; may be repeated.
    model
        The folder that `unmist train` wrote, to look for copies of what it learned from.
    against
        Data to look for copies of, in place of the model's.
    quarantine
        Where refused pictures are kept (default: beside --to, its name with -quarantine).
    plan
        Judge, say what would be done, write nothing.
    """

    policy: Path | None = None
    without: tuple[str, ...] = ()
    model: Path | None = None
    against: str = ""
    quarantine: Path | None = None
    plan: bool = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Signing:
    """Whose mark it bears.

    Parameters
    ----------
    keys
        A folder of keys, made on first use (default: your own, or UNMIST_KEYS).
    sign_key
        A private key in PEM of your own, with --sign-chain.
    sign_chain
        Its certificates in PEM, the signer's first.
    keyed
        Write the ledger with the secret key: only its owner can then write it anew unseen.
    """

    keys: Path | None = None
    sign_key: Path | None = None
    sign_chain: Path | None = None
    keyed: bool = False

    def identity(self) -> "Identity | None":
        """The user's own, None for the local one. Raises BadInput."""
        from unmist.guard.keys import read_identity

        if (self.sign_key is None) != (self.sign_chain is None):
            raise BadInput("--sign-key and --sign-chain belong together", mend="give both or none")
        if self.sign_key is None or self.sign_chain is None:
            return None
        return read_identity(self.sign_key, self.sign_chain)


def publish(
    *pictures: Path, to: Path, checking: Checking | None = None, signing: Signing | None = None,
    json: bool = False,
) -> int:  # fmt: skip
    """Publish what passes every check, with credentials and a line in a ledger.

    Ends with code 3 where a picture was refused. Refused ones are kept aside, nothing is deleted.

    Parameters
    ----------
    pictures
        Pictures, or folders of them as `unmist sample` leaves them.
    to
        The folder that others will see.
    json
        Print one JSON object a picture on stdout.
    """
    from unmist.workflows.publish import publishing

    release = _release(pictures, to, checking or Checking(), signing or Signing())
    for name in release.policy.left_out:
        note(f"note: {name} is left out; each picture's paper will say so")
    counts: Counter[str] = Counter()
    for outcome in publishing(release):
        counts[outcome.act] += 1
        if json:
            emit(outcome)
        else:
            print("\n".join(_lines(outcome)), flush=True)
    if not json:
        note(", ".join(f"{count} {act}" for act, count in counts.items()))
    return REFUSED if any("refused" in act for act in counts) else 0


def _release(
    pictures: tuple[Path, ...], to: Path, checking: Checking, signing: Signing
) -> "Release":
    from unmist.workflows.publish import Release

    return Release(
        pictures=pictures,
        to=to,
        policy=_policy(checking),
        model=checking.model,
        against=checking.against,
        keys=signing.keys,
        identity=signing.identity(),
        quarantine=checking.quarantine,
        keyed=signing.keyed,
        plan=checking.plan,
    )


def _policy(checking: Checking) -> "Policy":
    from unmist.guard.policy import Policy
    from unmist.workflows.detecting import read_policy

    policy = read_policy(checking.policy) if checking.policy else Policy()
    return policy.without(checking.without)


def _lines(outcome: "Outcome") -> list[str]:
    """For people."""
    where = f" -> {outcome.file}" if outcome.file else ""
    if "refused" not in outcome.act:
        told = f" ({', '.join(outcome.reasons)})" if outcome.reasons else ""
        return [f"{outcome.act}: {outcome.source}{where}{told}"]
    return [f"{outcome.act}: {outcome.source}{where}", *(f"  {why}" for why in outcome.reasons)]
