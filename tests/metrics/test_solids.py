import numpy as np
import torch

from unmist.metrics.solids import figures, parts_of_mesh, twice_run


def ball(radius, size=32):
    """Anti-aliased, in the middle."""
    axes = (np.indices((size,) * 3) - (size - 1) / 2).astype(np.float64)
    distance = np.sqrt((axes**2).sum(0))
    return torch.from_numpy(np.clip(radius + 0.5 - distance, 0, 1) * 255)[None, None]


def test_figures_of_a_ball():
    """Fails if volume or surface is not that of the formula to 2 %: 4/3 pi r^3, 4 pi r^2."""
    found = figures(ball(11.0))
    assert abs(float(found.volume) * 32**3 / (4 / 3 * np.pi * 11**3) - 1) < 0.02
    assert abs(float(found.surface) / (4 * np.pi * 11**2) - 1) < 0.02
    assert found.parts.tolist() == [1]
    assert abs(float(found.symmetry) - 1) < 1e-9


def test_figures_of_boxes():
    """Fails if rows mix, sides are told apart along a wrong axis, or corners part what touches."""
    x = torch.zeros(4, 1, 8, 9, 10)
    x[0, 0, 2:4, 2:5, :5] = 255  # all to the left: nothing is where its mirror image is
    x[1, 0, 2:4, :4, 3:7] = 255  # the same left and right, not up and down
    x[2, 0, 0, 0, 0] = x[2, 0, 1, 1, 1] = x[2, 0, 3, 1, 1] = 255  # a corner joins, a gap does not
    found = figures(x)
    assert found.symmetry[:2].tolist() == [0, 1]
    assert found.parts.tolist() == [1, 1, 2, 0]
    torch.testing.assert_close(found.volume * 720, torch.tensor([30.0, 32, 3, 0]).double())
    assert float(found.surface[3]) == 0


def test_parts_of_a_snake():
    """Fails if what hangs together by a long way round counts as several parts."""
    x = torch.zeros(1, 1, 1, 31, 31)
    x[..., ::2, :] = 255
    x[..., 1::4, 0] = x[..., 3::4, -1] = 255
    assert figures(x).parts.tolist() == [1]
    x[..., 15, :] = 0
    assert figures(x).parts.tolist() == [2]


CLOSED = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def test_a_tetrahedron_is_closed_and_harm_is_seen():
    """Fails if a missing, turned or doubled triangle passes for a closed mesh."""
    assert twice_run(CLOSED)
    turned = CLOSED.copy()
    turned[0] = turned[0][::-1]
    for wrong in (CLOSED[1:], turned, np.concatenate([CLOSED, CLOSED]), CLOSED[:0], [[0, 1, 1]]):
        assert not twice_run(np.asarray(wrong))


def test_parts_of_meshes():
    """Fails if pieces that share no point are one, or points that none uses count."""
    assert parts_of_mesh(CLOSED) == 1
    assert parts_of_mesh(np.concatenate([CLOSED, CLOSED + 7])) == 2
    strip = np.stack([np.arange(50), np.arange(1, 51), np.arange(2, 52)], 1)[::-1]
    assert parts_of_mesh(strip) == 1
