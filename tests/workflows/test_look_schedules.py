"""Slide 9's curves against closed forms."""

import math

import numpy as np
import pytest

from unmist.core.schedules import Cosine, Flow, Linear
from unmist.core.spacing import Discrete, EvenTime, Karras
from unmist.core.table import Table, linear_betas
from unmist.workflows.look_schedules import curve_of, drawn_curves, named_schedules


def test_beta_is_the_rate_of_the_forward_process():
    """Fails if beta has the wrong factor, sign or place: linear's is a straight line."""
    curve = curve_of("linear", Linear(), Karras(), 5)
    wanted = [0.1 + (20 - 0.1) * t for t in curve.time]
    assert np.allclose(curve.beta, wanted, rtol=1e-5)


def test_beta_of_cosine_is_a_tangent():
    """Fails if beta is not -d log(alpha^2)/dt = 2 a' tan(a), a' = pi/2/(1 + s)."""
    curve = curve_of("cosine", Cosine(), Karras(), 5)
    rate = math.pi / 2 / 1.008
    wanted = [2 * rate * math.tan((t + 0.008) * rate) for t in curve.time]
    assert np.allclose(curve.beta, wanted, rtol=1e-4)


def test_beta_of_a_table_is_its_own():
    """Fails if a table's betas are taken from its neighbours, or not times their count."""
    curve = curve_of("table", Table(), Discrete(), 5)
    index = [round(t * 999) for t in curve.time]
    wanted = [-1000 * math.log1p(-float(linear_betas()[i])) for i in index]
    assert np.allclose(curve.beta, wanted, rtol=1e-9)


def test_beta_is_left_out_where_it_is_not_defined():
    """Fails if a rectified or exploding schedule is given the beta of another process."""
    curves = {name: curve_of(name, s, Karras(), 4) for name, s in named_schedules(()).items()}
    assert {name for name, curve in curves.items() if curve.beta is None} == {
        "flow",
        "exploding",
        "shifted",
    }


def test_stops_lie_on_the_curve_in_falling_time():
    """Fails if a stop is marked at a time whose level is another one."""
    curve = curve_of("flow", Flow(), EvenTime(), 4)
    assert [stop.time for stop in curve.stops] == pytest.approx([1, 0.75, 0.5, 0.25])
    assert [stop.sigma for stop in curve.stops] == pytest.approx([1, 0.75, 0.5, 0.25])
    assert [stop.log_snr for stop in curve.stops][1:] == pytest.approx(
        [2 * math.log(1 / 3), 0, 2 * math.log(3)]
    )


def test_the_drawing_shows_every_schedule_and_its_stops():
    """Fails if a curve is not drawn: another colour must appear with each schedule."""
    few = {"flow": curve_of("flow", Flow(), Karras(), 6)}
    more = {**few, "cosine": curve_of("cosine", Cosine(), Karras(), 6)}
    pages = [drawn_curves(curves).transpose(1, 2, 0) for curves in (few, more)]
    assert pages[0].shape == pages[1].shape == (924, 1320, 3)
    orange = [(np.abs(page.astype(int) - (255, 127, 14)).sum(2) < 9).sum() for page in pages]
    assert orange[0] == 0
    assert orange[1] > 500
