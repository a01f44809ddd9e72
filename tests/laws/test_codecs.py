"""Laws of every codec in the family, of every bottleneck, on one to three axes."""

from dataclasses import replace

import pytest
import torch

from unmist.base.faults import BadInput, Diverged
from unmist.codecs.bottleneck import bottlenecks
from unmist.codecs.family import codecs
from unmist.codecs.latent import Latent
from unmist.codecs.pixels import Pixels

SHAPES = [(3, 12, 9), (1, 21), (1, 6, 5, 9)]
KINDS = ["pixels", *bottlenecks.names()]
every = pytest.mark.parametrize("kind", KINDS)
latent = pytest.mark.parametrize("kind", bottlenecks.names())


def awake(kind, shape, factor=4, **more):
    """A codec whose every weight is moved, as after teaching."""
    pixels = Pixels((100.0,) * shape[0], (60.0,) * shape[0])
    if kind == "pixels":
        return pixels
    part = bottlenecks[kind](codes=16) if kind == "vq" else bottlenecks[kind]()
    codec = Latent(factor=factor, channels=3, width=4, bottleneck=part, **more)
    net, draw = codec.build(shape, 0), torch.Generator().manual_seed(1)
    assert sum(p.numel() for p in net.parameters()) <= 50_000
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=draw))
    unit = {"mean": (0.1, -0.2, 0.0), "spread": (1.0, 2.0, 0.5)}
    return replace(codec, net=net, shape=shape, pixels=pixels, digest="0", **unit)


def rows(shape, count=3):
    draw = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)


def test_the_family_is_whole():
    """Fails if a codec or a bottleneck is not registered under its name."""
    assert (codecs["pixels"], codecs["latent"]) == (Pixels, Latent)
    assert bottlenecks.names() == ["kl", "vq"]


@every
@pytest.mark.parametrize("shape", SHAPES)
def test_there_and_back_has_the_shapes_it_says(kind, shape):
    """Fails if odd sizes are not padded and cropped, or `inner` says another shape."""
    codec = awake(kind, shape)
    x = codec.encode(rows(shape))
    assert (x.dtype, tuple(x.shape[1:])) == (torch.float32, codec.inner(shape))
    back = codec.decode(x, shape[1:])
    assert (back.dtype, tuple(back.shape[1:])) == (torch.uint8, shape)
    assert torch.equal(back, codec.decode(x))


@every
def test_a_row_is_decoded_alike_in_any_company(kind):
    """Fails if a sample's pixels depend on what is decoded with it."""
    codec = awake(kind, SHAPES[0])
    x = torch.randn(5, *codec.inner(SHAPES[0]), generator=torch.Generator().manual_seed(3))
    assert torch.equal(codec.decode(x)[3:4], codec.decode(x[3:4]))


@every
def test_what_is_no_number_is_refused(kind):
    """Fails if NaN becomes a picture."""
    codec = awake(kind, SHAPES[0])
    x = torch.full((1, *codec.inner(SHAPES[0])), torch.nan)
    with pytest.raises(Diverged, match="not finite"):
        codec.decode(x)


@latent
@pytest.mark.parametrize(("shape", "factor"), [((3, 16, 16), 4), ((1, 64), 8), ((1, 8, 8, 8), 2)])
def test_tiles_give_what_the_whole_gives(kind, shape, factor):
    """Fails if a tile sees less than its pixels depend on, or is put in the wrong place."""
    codec = awake(kind, shape, factor)
    sizes = {1: (60,), 2: (22, 19), 3: (15, 12, 14)}[len(shape) - 1]
    x = torch.randn(1, 3, *sizes, generator=torch.Generator().manual_seed(4))
    reach, fine = codec.net.reach, factor // codec.net.fold
    most = 4 * int(((2 * reach + 3) * fine) ** len(sizes)) + 4
    whole = codec._row(codec.net, x, 1 << 40)
    parts = codec._row(codec.net, x, most)
    torch.testing.assert_close(parts, whole, atol=2e-5, rtol=1e-5)
    assert whole.std() > 0.01


@latent
def test_a_pixel_depends_on_its_reach_only(kind):
    """Fails if a norm or attention brings the whole in, which would forbid tiles."""
    codec = awake(kind, (1, 64), 4)
    x = torch.randn(1, 3, 41, generator=torch.Generator().manual_seed(5))
    other = x.clone()
    other[..., 20] += 30
    moved = (codec._row(codec.net, x, 1 << 40) - codec._row(codec.net, other, 1 << 40)).abs()
    places = moved[0, 0].reshape(41, 4).amax(1).nonzero().flatten()
    assert int((places - 20).abs().max()) <= codec.net.reach


@latent
def test_other_data_and_impossible_sizes_are_refused(kind):
    """Fails if grey rows enter a codec of colour, or more latents than pixels are made."""
    codec = awake(kind, SHAPES[0])
    with pytest.raises(BadInput, match="beside samples of"):
        codec.inner((1, 12, 9))
    with pytest.raises(BadInput, match="latents for"):
        Latent(factor=2, channels=9, bottleneck=codec.bottleneck).build((1, 8, 8), 0)
    with pytest.raises(BadInput, match="factor 3"):
        Latent(factor=3)
