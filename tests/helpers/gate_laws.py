"""What a gate must do, of any module that is one: the real one, or a mutant of it.

`laws(gate)` raises where the module does not hold; every line is there because a planted fault
needs it.
"""

import math
from dataclasses import replace

import numpy as np

PICTURE = "a" * 64
BELOW = math.nextafter(0.5, 0.0)


class Odd(float):
    """A float that says of itself whatever one wants to hear."""

    def __lt__(self, other):
        return True

    __le__ = __ge__ = __gt__ = __lt__


def limits(gate):
    return (
        gate.Limit("nudity", "v1", 0.5, 2.0),
        gate.Limit("copied", "v2", 1.0, 20.0),
    )


def answers(gate):
    return (
        gate.Answer("nudity", "v1", PICTURE, BELOW, 2.0, "skin"),
        gate.Answer("copied", "v2", PICTURE, 0.0, 0.0),
    )


def refused(gate, picture, wanted, given, *words):
    """Refused by `decided` with these words among its reasons, and `Passed` cannot be made."""
    verdict = gate.decided(picture, wanted, given)
    assert type(verdict) is gate.Refused, (verdict, words)
    assert (verdict.picture, verdict.answers) == (picture, tuple(given))
    assert verdict.reasons
    said = " | ".join(verdict.reasons)
    assert all(word in said for word in words), (said, words)
    assert all(isinstance(reason, str) and reason for reason in verdict.reasons)
    try:
        gate.Passed(picture, tuple(wanted), tuple(given))
    except gate.BadInput as fault:
        assert fault.what == verdict.reasons[0]
        assert (fault.where, fault.mend) == ("gate", "it is not published")
    else:
        raise AssertionError("a value that must not be was made")
    return verdict


def laws(gate):
    passing(gate)
    bad_scores(gate)
    bad_times(gate)
    wrong_sets(gate)
    wrong_names(gate)
    bad_limits(gate)


def passing(gate):
    wanted, given = limits(gate), answers(gate)
    for order in (given, given[::-1]):
        verdict = gate.decided(PICTURE, list(wanted), list(order))
        assert type(verdict) is gate.Passed
        assert (verdict.picture, verdict.limits, verdict.answers) == (PICTURE, wanted, order)
    one = gate.Limit("nudity", "v1", 1.0, gate.LONGEST)
    for score in (0.0, 0.3, BELOW, 0.99, math.nextafter(1.0, 0.0)):
        said = replace(given[0], score=score, seconds=3600.0)
        assert type(gate.decided(PICTURE, [one], [said])) is gate.Passed
    assert gate.Answer("nudity", "v1", PICTURE, 0.0, 0.0).reason == ""


SCORES = (
    *(math.nan, -math.nan, math.inf, -math.inf, 1.0001, 1.0 + 1e-15, -1e-300, -1.0, 2.0, 1e308),
    *(None, "0.1", b"0", [0.1], (0.1,), {}, True, False, 0, 1, 0j),
    *(np.float32(0.1), np.float64(0.1), np.array(0.1), np.array([0.1, 0.2]), Odd(0.9), Odd("nan")),
)


def bad_scores(gate):
    wanted, given = limits(gate), answers(gate)
    for score in SCORES:
        said = replace(given[0], score=score)
        verdict = refused(gate, PICTURE, wanted, (said, given[1]))
        assert verdict.reasons == ("nudity: no score between 0 and 1 (skin)",)
    for score in (0.5, math.nextafter(0.5, 1.0), 1.0):
        said = replace(given[0], score=score)
        verdict = refused(gate, PICTURE, wanted, (said, given[1]))
        assert verdict.reasons == (f"nudity: {score:.3g}, allowed below 0.5 (skin)",)
    said = replace(given[1], score=1.0)
    verdict = refused(gate, PICTURE, wanted, (given[0], said))
    assert verdict.reasons == ("copied: 1, allowed below 1",)


def bad_times(gate):
    wanted, given = limits(gate), answers(gate)
    late = math.nextafter(2.0, 3.0)
    for seconds in (late, 1e9, math.inf, math.nan, -1e-300, -1.0, None, True, "1", 1, Odd(9.0)):
        said = replace(given[0], seconds=seconds)
        verdict = refused(gate, PICTURE, wanted, (said, given[1]))
        assert verdict.reasons == ("nudity: not in time, 2 s are allowed",)


def wrong_sets(gate):
    wanted, given = limits(gate), answers(gate)
    refused(gate, PICTURE, wanted, (), "nudity: 0 answers", "copied: 0 answers")
    refused(gate, PICTURE, wanted, given[:1], "copied: 0 answers instead of one")
    refused(gate, PICTURE, wanted, given[1:], "nudity: 0 answers instead of one")
    refused(gate, PICTURE, wanted, (*given, given[0]), "nudity: 2 answers instead of one")
    verdict = refused(gate, PICTURE, (), (), "the policy asks no detector")
    assert verdict.reasons == ("the policy asks no detector",)
    verdict = refused(gate, PICTURE, wanted[:1], given)
    assert verdict.reasons == ("copied: an answer that the policy did not ask for",)
    verdict = refused(gate, PICTURE, (wanted[0], wanted[0]), given[:1])
    assert verdict.reasons == ("the policy names a detector twice",)
    verdict = refused(gate, "", wanted[:1], (replace(given[0], picture=""),))
    assert verdict.reasons == ("it is not known which picture was judged",)


def wrong_names(gate):
    wanted, given = limits(gate), answers(gate)
    other = replace(given[0], picture="b" * 64)
    verdict = refused(gate, PICTURE, wanted, (other, given[1]))
    assert verdict.reasons == ("nudity: the answer is about another picture",)
    for version in ("v2", "v0", "", "v11"):
        old = replace(given[0], version=version)
        verdict = refused(gate, PICTURE, wanted, (old, given[1]))
        assert verdict.reasons == (f"nudity: version {version} answered, the policy wants v1",)
    worst = replace(given[0], version="v0", picture="", score=math.nan, seconds=math.nan)
    assert len(refused(gate, PICTURE, wanted, (worst, given[1])).reasons) == 4


def unmade(gate, where, what, mend, *settings):
    try:
        gate.Limit(*settings)
    except gate.BadInput as fault:
        assert (fault.where, fault.what, fault.mend) == (where, what, mend), fault
    else:
        raise AssertionError(f"a limit of {settings}")


def bad_limits(gate):
    named = "a limit names a detector and its version"
    unmade(gate, "policy", named, "", "", "v1", 0.5, 1.0)
    unmade(gate, "policy", named, "", "n", "", 0.5, 1.0)
    for above in (
        0.0,
        -0.1,
        math.nextafter(1.0, 2.0),
        math.nan,
        math.inf,
        True,
        None,
        "0.5",
        Odd(2),
    ):
        mend = "a number above 0, at most 1"
        unmade(gate, "n", f"above = {above!r}", mend, "n", "v1", above, 1.0)
    for seconds in (
        0.0,
        -1.0,
        math.nextafter(3600.0, 1e9),
        math.nan,
        math.inf,
        True,
        None,
        Odd(9e9),
    ):
        mend = "a number above 0, at most 3600"
        unmade(gate, "n", f"seconds = {seconds!r}", mend, "n", "v1", 0.5, seconds)
    unmade(gate, "n", f"above = {'x' * 99!r}"[:60], "a number above 0, at most 1", "n", "v1",
           "x" * 99, 1.0)  # fmt: skip
    unmade(gate, "n", f"seconds = {'x' * 99!r}"[:60], "a number above 0, at most 3600", "n", "v1",
           0.5, "x" * 99)  # fmt: skip
    least = gate.Limit("n", "v1", 5e-324, 5e-324)
    assert (least.above, least.seconds) == (5e-324, 5e-324)
