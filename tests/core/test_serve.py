"""Continuous batching: requests admitted while others run are what they are alone."""

import core_laws as laws
import torch

from unmist.core.condition import Cond
from unmist.core.denoiser import Chunked, NetDenoiser
from unmist.core.plan import ancestral, descend
from unmist.core.prediction import Velocity
from unmist.core.schedules import Flow
from unmist.core.serve import Desk, Request
from unmist.core.solver import Euler, Heun, Multistep, SdeMultistep
from unmist.core.spacing import Logistic
from unmist.core.walk import final, started, trace, walk

KINDS = [
    (descend(Logistic()(Flow(), 3)), Euler()),
    (descend(Logistic()(Flow(), 9)), Heun()),
    (descend(Logistic()(Flow(), 12)), laws.Adams(3)),
    (ancestral(descend(Logistic()(Flow(), 5)), 1.0), Euler()),
    (descend(Logistic()(Flow(), 7)), SdeMultistep()),
    (descend(Logistic()(Flow(), 4)), Multistep(2)),
]


def asked(number):
    """x, plan, solver and noise of one request, 1 to 3 rows with ids of their own."""
    plan, solver = KINDS[number % len(KINDS)]
    noise = laws.ids(0).select(range(10 * number, 10 * number + 1 + number % 3))
    return started(torch.zeros(len(noise.ids), 3, 6, 5), plan, noise), plan, solver, noise


def request(number, calls=1):
    """The same as a request."""
    return Request(trace(*asked(number)), calls)


class Counted:
    """A denoiser that remembers the sizes of its batches."""

    def __init__(self, denoise):
        self.denoise, self.sizes = denoise, []

    def __call__(self, x, here, cond=None, *, there=None):
        self.sizes.append(len(x))
        return self.denoise(x, here, cond, there=there)


def test_admitted_while_others_run():
    """Fails if a request that comes later, among strangers, ends elsewhere than alone, to a bit."""
    denoise = Chunked(NetDenoiser(laws.SmallNet(), Velocity()), 4)
    alone = [final(walk(denoise, *asked(number))) for number in range(9)]
    waiting, ends = [[0, 1], [], [2], [3, 4, 5], [], [6], [7, 8]], {}

    def arriving():
        return [request(number) for number in waiting.pop(0)] if waiting else None

    ends.update(Desk(denoise, rows=5).serve(arriving))
    assert sorted(ends) == list(range(9))
    for number, state in enumerate(alone):
        assert torch.equal(ends[number].x, state.x)
        assert ends[number].calls == state.calls


def test_no_call_is_larger_than_asked():
    """Fails if a batch passes `rows`, or calls are made that a full batch would have spared."""
    spy = Counted(NetDenoiser(laws.SmallNet(), Velocity()))
    desk = Desk(spy, rows=4)
    for _ in range(4):
        desk.admit(request(0, 3))  # one row, three calls
    while not desk.idle:
        list(desk.round())
    assert spy.sizes == [4, 4, 4]


def test_a_short_one_does_not_wait_for_a_long_one():
    """Fails if a request of three calls behind one of twelve is not the first to end."""
    desk, ended = Desk(NetDenoiser(laws.SmallNet(), Velocity()), rows=1), []
    long, short = KINDS[2], KINDS[0]
    for plan, solver in (long, short):
        x = started(torch.zeros(1, 3, 6, 5), plan, laws.ids(1))
        desk.admit(Request(trace(x, plan, solver, laws.ids(1)), len(plan.moves)))
    while not desk.idle:
        ended += [number for number, state in desk.round() if state.level.is_data]
    assert ended == [1, 0]


def test_nobody_waits_forever():
    """Fails if short requests, one after another without a gap, keep a long one from its end."""
    desk = Desk(NetDenoiser(laws.SmallNet(), Velocity()), rows=1, patience=3)
    plan, solver = KINDS[2]
    x = started(torch.zeros(1, 3, 6, 5), plan, laws.ids(1))
    number = desk.admit(Request(trace(x, plan, solver, laws.ids(1)), 12))
    calls, rounds = 0, 0
    while calls < 12 and rounds < 150:
        if rounds % 3 == 0:  # as much as the desk can do, before the long one's share
            desk.admit(request(0, 3))
        for one, state in desk.round():
            calls = state.calls if one == number else calls
        rounds += 1
    assert calls == 12
    assert rounds <= 2 * 12 * (desk.patience + 1)


def test_conditions_of_some():
    """Fails if a request without a condition cannot share a batch, or is given another's."""
    seen = {}

    def denoise(x, here, cond=None, *, there=None):
        seen["kept"], seen["label"] = cond.kept("label").tolist(), cond.values["label"].tolist()
        return 0 * x

    desk = Desk(denoise)
    desk.admit(Request(request(1).trace, 1, Cond({"label": torch.tensor([3, 4])})))
    desk.admit(request(0))
    list(desk.round())
    assert seen["kept"] == [True, True, False]
    assert seen["label"][:2] == [3, 4]


def test_what_is_done_at_once_is_told():
    """Fails if a plan of renoises alone, which asks nothing, never ends."""
    plan, solver = KINDS[0]
    empty = ancestral(plan, 0.0)._replace(moves=())
    desk = Desk(NetDenoiser(laws.SmallNet(), Velocity()))
    desk.admit(Request(trace(torch.zeros(1, 3, 6, 5), empty, solver, laws.ids(1)), 1))
    assert desk.idle
