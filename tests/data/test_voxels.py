import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.data.mesh import Mesh
from unmist.data.voxels import MARGIN, SWELL, surface, voxelised
from unmist.metrics.solids import parts_of_mesh, twice_run

SIDES = {  # of the unit cube, counter-clockwise seen from outside
    "left": [(0, 1, 3), (0, 3, 2)], "right": [(4, 6, 7), (4, 7, 5)],
    "down": [(0, 4, 5), (0, 5, 1)], "up": [(2, 3, 7), (2, 7, 6)],
    "back": [(0, 2, 6), (0, 6, 4)], "front": [(1, 5, 7), (1, 7, 3)],
}  # fmt: skip


def box(wide=1.0, high=1.0, deep=1.0, without=()):
    """A box from its corner at the origin, x wide, y high, z deep; some sides may be missing."""
    points = np.array([[x, y, z] for x in (0, wide) for y in (0, high) for z in (0, deep)], float)
    return Mesh(points, np.array([t for s, ts in SIDES.items() if s not in without for t in ts]))


def joined(*meshes):
    shifts = np.cumsum([0, *(len(mesh.points) for mesh in meshes)])
    rows = [mesh.triangles + shift for mesh, shift in zip(meshes, shifts, strict=False)]
    return Mesh(np.concatenate([mesh.points for mesh in meshes]), np.concatenate(rows))


def content(mesh):
    a, b, c = mesh.points[mesh.triangles].transpose(1, 0, 2)
    return float((np.cross(a, b) * c).sum() / 6)


def test_a_box_is_as_large_as_said():
    """Fails if it is not centred, its longest side is not size - 2*MARGIN, or an axis is another's.

    Along a line through the middle the levels sum up to the side, SWELL further at both ends.
    """
    found = voxelised(box(1, 2, 0.5), 24).astype(float) / 255
    middle = found[:, 11:13, 11:13].mean((1, 2)), found[11:13, :, 11:13].mean((0, 2))
    lines = (*middle, found[11:13, 11:13].mean((0, 1)))
    longest = 24 - 2 * MARGIN
    for line, part in zip(lines, (0.25, 1, 0.5), strict=True):
        assert abs(line.sum() - (longest * part + 2 * SWELL)) < 0.25
        np.testing.assert_allclose(line, line[::-1], atol=0.06)


def test_up_is_up_and_the_viewer_is_in_front():
    """Fails if an axis is turned: a small box at the top, right, front stays there."""
    small = box(0.2, 0.2, 0.2)
    marked = Mesh(small.points + 0.8, small.triangles)
    flat = Mesh(box().points * (1, 0.05, 1), box().triangles)
    depth, height, width = np.nonzero(voxelised(joined(flat, marked), 16) > 127)
    top = height <= 4
    assert height.max() == 14  # the plate lies at the bottom
    assert width[top].min() > 9
    assert depth[top].max() < 6


@pytest.mark.parametrize(
    ("without", "filled"),
    [((), True), (("down",), True), (("up",), False), (("front",), False), (("left",), False)],
)
def test_what_is_closed_is_filled(without, filled):
    """Fails if an open bath or shelf is filled, or a cupboard without an underside is not."""
    assert (voxelised(box(without=without), 16)[8, 8, 8] == 255) == filled


def test_no_wire_is_lost():
    """Fails if a line without thickness falls between cells: seen at half full all its way."""
    for shift in np.linspace(0, 1, 7):
        wire = Mesh(np.array([[0.0, 0, 0], [0, 1, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))
        post = Mesh(
            np.array([[0.013 * shift, 0, 0], [1, 0.0, 0], [1, 0, 0.5]]), np.array([[0, 1, 2]])
        )
        found = voxelised(joined(wire, post), 20) > 127
        assert found.any((0, 2))[2:18].all()


def test_surface_is_closed_and_faces_outward():
    """Fails if the mesh has a hole or its triangles run the wrong way round, also at the border."""
    found = voxelised(box(1, 2, 0.5), 24)
    mesh = surface(found)
    assert twice_run(mesh.triangles)
    assert abs(content(mesh) / (found.sum() / 255) - 1) < 0.05
    full = surface(np.full((3, 4, 5), 255, np.uint8))
    assert twice_run(full.triangles)
    assert content(full) > 0
    np.testing.assert_allclose(np.ptp(full.points, 0), (5, 4, 3), atol=0.01)


def test_surfaces_of_anything_are_closed():
    """Fails if marching cubes leaves an edge open where cells are full at random."""
    draw = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        noise = (draw.random((9, 10, 11)) < share).astype(np.uint8) * 255
        assert twice_run(surface(noise).triangles)


def test_there_and_back():
    """Fails if a surface voxelised again is not what it came from, or parts are joined or lost."""
    first = voxelised(
        joined(box(), Mesh(box().points * 0.4 + np.array([1.6, 0.3, 0.2]), box().triangles)), 24
    )
    mesh = surface(first)
    assert parts_of_mesh(mesh.triangles) == 2
    again = voxelised(mesh, 24)
    both, either = (np.logical_and, np.logical_or)
    share = both(first > 127, again > 127).sum() / either(first > 127, again > 127).sum()
    assert share > 0.8


def test_refusals():
    """Fails if nothing, or a single point, brings a traceback."""
    with pytest.raises(BadInput, match="empty"):
        surface(np.zeros((4, 4, 4), np.uint8))
    point = Mesh(np.ones((3, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(BadInput, match="no extent"):
        voxelised(point, 16)
    with pytest.raises(BadInput, match="size"):
        voxelised(box(), 2)
