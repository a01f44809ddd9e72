"""Faults are one line; families know their names."""

from dataclasses import dataclass

import pytest

from unmist.base.faults import BadInput, Busy, CannotWrite, Diverged, Fault
from unmist.base.kinds import Kinds, did_you_mean


def test_one_line_and_a_code_of_the_class():
    """Fails if the line has another order, line feeds come through, or two classes share a code."""
    assert str(BadInput("no such file", where="a.png", mend="check the path")) == (
        "a.png: no such file; check the path"
    )
    assert str(Fault("alone")) == "alone"
    assert "\n" not in str(BadInput("two\nlines", where="a\nb"))
    assert [f.code for f in (Fault, BadInput, CannotWrite, Busy, Diverged)] == [1, 2, 74, 75, 70]
    assert issubclass(BadInput, ValueError)


def test_families():
    """Fails if names, order or the way back are wrong, or a near miss goes without a hint."""
    family: Kinds = Kinds("colour")

    @family("red")
    @dataclass(frozen=True)
    class Red:
        depth: int = 1

    @family("green")
    @dataclass(frozen=True)
    class Green:
        pass

    assert family.names() == list(family) == ["red", "green"]
    assert family["red"] is Red
    assert family.name_of(Green()) == "green"
    with pytest.raises(BadInput, match="no colour called 'gren'; did you mean 'green'"):
        family["gren"]
    with pytest.raises(BadInput, match="int is not a registered colour"):
        family.name_of(3)
    with pytest.raises(AssertionError, match="two colours called red"):
        family("red")(Green)


def test_did_you_mean():
    """Fails if a far word is guessed at instead of showing what there is."""
    assert did_you_mean("widht", ["width", "depth"]) == "did you mean 'width'?"
    assert did_you_mean("zzz", ["width", "depth"]) == "known: width, depth"
