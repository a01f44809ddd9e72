"""Laws of every network in the family: what training, sampling and editing rely on."""

import pytest
import torch
from torch.func import functional_call, jvp, vjp

from unmist.core.condition import Signals, Sockets, Tokens
from unmist.networks import dit, unet
from unmist.networks.family import networks
from unmist.nn.attention import CrossAttention, forward_mode

SMALL = {
    "unet": dict(width=8, levels=(1, 2), blocks=(1, 1), attention=(1,), head=8),
    "dit": dict(width=16, depth=2, head=8, patch=2, ratio=2),
}
PLUGS = Sockets(vector=5, tokens=6, map=2)
SHAPES = [(3, 8, 8), (1, 7), (2, 30), (1, 13, 9), (3, 1, 2), (2, 5, 4, 3), (1, 1), (1, 1, 1, 1)]
# torch itself calls its deprecated torch.jit.script when forward derivatives are first used
forward = pytest.mark.filterwarnings("ignore:.torch.jit.script.:DeprecationWarning")
every = pytest.mark.parametrize("name", networks.names())


def test_the_family_is_whole():
    # fails if a network is not registered under its name
    assert (networks["unet"], networks["dit"]) == (unet.UNet, dit.DiT)


def small(name, shape=(3, 8, 8), sockets=PLUGS, seed=0):
    net = networks[name](**SMALL[name]).build(shape, sockets, seed)
    assert sum(p.numel() for p in net.parameters()) <= 50_000
    return net


def awake(name, shape=(3, 8, 8), sockets=PLUGS):
    """With every weight moved, as after training: the zeroed outputs hide nothing."""
    net, generator = small(name, shape, sockets), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator))
    return net


def question(shape=(3, 8, 8), rows=3, dtype=torch.float32):
    g = torch.Generator().manual_seed(2)

    def draw(*size):
        return torch.randn(rows, *size, generator=g).to(dtype)

    mask = torch.tensor([[True, True, False, True]]).repeat(rows, 1)
    signals = Signals(draw(5), Tokens(draw(4, 6), mask), draw(2, *shape[1:]))
    return draw(*shape), 4 * draw(), signals


@every
@pytest.mark.parametrize("shape", SHAPES)
def test_any_size_of_one_to_three_axes_comes_back_at_its_size(name, shape):
    # fails if padding is not taken off again, or a size below the total stride breaks a level
    x, clock, signals = question(shape)
    out = awake(name, shape)(x, clock, signals)
    assert out.shape == x.shape
    assert torch.isfinite(out).all()
    assert out.flatten(1).std() > 0.01


@every
def test_a_network_serves_sizes_it_was_not_built_for(name):
    # fails if a layer depends on the size given to build
    x, clock, signals = question((3, 11, 6))
    out = awake(name, (3, 8, 8))(x, clock, signals)
    assert torch.equal(out, awake(name, (3, 11, 6))(x, clock, signals))


@every
def test_a_new_network_answers_exactly_zero(name):
    # fails if the last layer is not zeroed: a denoiser would then not start at skip * x
    x, clock, signals = question()
    assert not small(name)(x, clock, signals).any()


@every
def test_every_weight_gets_a_finite_gradient(name):
    # fails if a weight is left out of the graph
    x, clock, signals = question()
    net = awake(name)
    net(x, clock, signals).square().sum().backward()
    for label, p in net.named_parameters():
        assert p.grad is not None, label
        assert torch.isfinite(p.grad).all(), label
        assert p.grad.abs().max() > 0, label


@every
def test_training_wakes_every_weight_from_the_true_start(name):
    # fails if two zeros stand in one branch (a closed gate before a zeroed layer): neither moves
    x, clock, signals = question()
    net = small(name)
    start = {label: p.detach().clone() for label, p in net.named_parameters()}
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(6):
        optimizer.zero_grad()
        (net(x, clock, signals) - signals.map.sum(1, keepdim=True)).square().sum().backward()
        optimizer.step()
    for label, p in net.named_parameters():
        assert not torch.equal(p, start[label]), label


@every
def test_clock_and_every_socket_matter(name):
    # fails if a signal is accepted and ignored
    x, clock, signals = question()
    net, tokens = awake(name), signals.tokens
    plain = net(x, clock, signals)
    others = {
        "clock": net(x, clock + 0.5, signals),
        "vector": net(x, clock, signals._replace(vector=signals.vector + 1)),
        "tokens": net(x, clock, signals._replace(tokens=tokens._replace(values=-tokens.values))),
        "map": net(x, clock, signals._replace(map=signals.map + 1)),
    }
    for what, other in others.items():
        moved = (other - plain).flatten(1).abs().amax(1)
        assert (moved > 1e-4).all(), what


@every
@pytest.mark.parametrize("shape", [(4, 9), (2, 6, 7), (1, 5, 4, 6)])
@pytest.mark.parametrize("levels", [(0,), (1,), (0, 1)])
def test_tokens_are_heard_at_any_level_on_any_number_of_axes(name, shape, levels):
    # fails if cross-attention is left out at a level, or mixes places of several axes up
    x, clock, signals = question(shape)
    settings = {**SMALL[name], **({"attention": levels} if name == "unet" else {})}
    net, draw = networks[name](**settings).build(shape, PLUGS), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=draw))
    values, mask = signals.tokens
    other = net(x, clock, signals._replace(tokens=Tokens(-values, mask)))
    moved = (other - net(x, clock, signals)).flatten(1).abs().amax(1)
    assert (moved > 1e-4).all()
    asking = [one for one in net.modules() if isinstance(one, CrossAttention)]
    assert len(asking) == (len(levels) if name == "unet" else SMALL["dit"]["depth"])


@every
def test_masked_tokens_do_not_matter_even_as_nan_or_all_of_them(name):
    # fails if the mask is ignored, turned round, or makes softmax of nothing
    x, clock, signals = question()
    net, (values, mask) = awake(name), signals.tokens
    plain = net(x, clock, signals)
    spoilt = values.masked_fill(~mask[..., None], float("nan"))
    assert torch.equal(plain, net(x, clock, signals._replace(tokens=Tokens(spoilt, mask))))
    none = net(x, clock, signals._replace(tokens=Tokens(values, torch.zeros_like(mask))))
    assert torch.isfinite(none).all()
    assert not torch.allclose(none, plain)
    shorter = Tokens(values[:, [0, 1, 3]], mask[:, [0, 1, 3]])
    close = net(x, clock, signals._replace(tokens=shorter))
    torch.testing.assert_close(close, plain, atol=1e-5, rtol=1e-5)


@every
def test_a_signal_too_many_or_too_few_is_refused(name):
    # fails if a condition can be given to a network that has no place for it
    x, clock, signals = question()
    with pytest.raises(AssertionError, match="socket vector"):
        small(name, sockets=Sockets())(x, clock, Signals(vector=signals.vector))
    with pytest.raises(AssertionError, match="socket tokens"):
        small(name)(x, clock, signals._replace(tokens=None))


@every
@forward
def test_forward_and_backward_derivatives_agree_with_differences(name):
    # fails if an operation has no forward derivative on the CPU, or a wrong one
    x, clock, signals = question(rows=2, dtype=torch.float64)
    net = awake(name).double()
    g = torch.Generator().manual_seed(3)
    step = torch.randn(x.shape, generator=g, dtype=x.dtype)
    back = torch.randn(x.shape, generator=g, dtype=x.dtype)
    with forward_mode():
        out, along = jvp(lambda y: net(y, clock, signals), (x,), (step,))
    h = 1e-5
    ends = [net(x + sign * h * step, clock, signals) for sign in (1, -1)]
    torch.testing.assert_close(along, (ends[0] - ends[1]) / (2 * h), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(out, net(x, clock, signals), atol=1e-10, rtol=1e-10)
    (backward,) = vjp(lambda y: net(y, clock, signals), x)[1](back)
    torch.testing.assert_close((backward * step).sum(), (along * back).sum())


@every
@forward
def test_derivative_by_the_clock_exists(name):
    # fails if mean-flow training (a derivative along the level) meets an operation without one
    x, clock, signals = question(rows=2, dtype=torch.float64)
    net, h = awake(name).double(), 1e-5
    with forward_mode():
        along = jvp(lambda c: net(x, c, signals), (clock,), (torch.ones_like(clock),))[1]
    ends = [net(x, clock + sign * h, signals) for sign in (1, -1)]
    torch.testing.assert_close(along, (ends[0] - ends[1]) / (2 * h), atol=1e-6, rtol=1e-5)


@every
def test_single_and_double_precision_agree(name):
    # fails if part of the network works in a precision of its own
    x, clock, signals = question()
    single = awake(name)(x, clock, signals)
    double = awake(name).double()(x.double(), clock.double(), signals)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(single.double(), double, atol=1e-3, rtol=1e-3)


@every
def test_a_double_clock_and_double_signals_leave_the_precision_alone(name):
    # fails if a level in float64 promotes the pictures
    x, clock, signals = question()
    tokens = Tokens(signals.tokens.values.double(), signals.tokens.mask)
    wide = Signals(signals.vector.double(), tokens, signals.map.double())
    out = awake(name)(x, clock.double(), wide)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, awake(name)(x, clock, signals), atol=1e-4, rtol=1e-4)


@every
def test_a_row_does_not_depend_on_its_company(name):
    # fails if a statistic is taken over the batch
    x, clock, signals = question()
    net = awake(name)
    whole = net(x, clock, signals)
    values, mask = signals.tokens
    for i in range(len(x)):
        one = slice(i, i + 1)
        lone = Signals(signals.vector[one], Tokens(values[one], mask[one]), signals.map[one])
        answer = net(x[one], clock[one], lone)
        torch.testing.assert_close(answer, whole[one], atol=1e-4, rtol=1e-4)


@every
def test_weights_are_a_function_of_the_seed_alone(name):
    # fails if building reads or moves the global generator, or only 32 bits of the seed count
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = small(name, seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again, other, far = (small(name, seed=s).state_dict() for s in (7, 8, 7 + 2**32))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["stem.weight"], other["stem.weight"])
    assert not torch.equal(first["stem.weight"], far["stem.weight"])


@every
def test_weights_go_through_functional_call(name):
    # fails if the module keeps state that EMA weights put in its place would not reach
    x, clock, signals = question()
    net, weights = small(name), dict(awake(name).named_parameters())
    out = functional_call(net, weights, (x, clock, signals))
    assert torch.equal(out, awake(name)(x, clock, signals))


@every
def test_weights_are_plainly_laid_out(name):
    # fails if a weight is stored in another layout, which safetensors refuses
    assert all(p.is_contiguous() for p in small(name).state_dict().values())


@every
def test_dropout_acts_in_training_only(name):
    # fails if the setting is not passed on, or is left on when sampling
    x, clock, signals = question()
    net = networks[name](**SMALL[name], dropout=0.5).build((3, 8, 8), PLUGS)
    net.load_state_dict(awake(name).state_dict())
    assert torch.equal(net.eval()(x, clock, signals), awake(name)(x, clock, signals))
    assert not torch.allclose(net.train()(x, clock, signals), awake(name)(x, clock, signals))
