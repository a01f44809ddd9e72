import numpy as np
import pytest

from unmist.base.faults import BadInput
from unmist.data.mesh import Mesh, parsed_mesh, read_mesh, save_mesh

# a tetrahedron whose triangles run counter-clockwise seen from outside
POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]], np.float64)
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def content(mesh):
    """The signed volume: positive where triangles run counter-clockwise seen from outside."""
    a, b, c = mesh.points[mesh.triangles].transpose(1, 0, 2)
    return float((np.cross(a, b) * c).sum() / 6)


@pytest.mark.parametrize("ending", [".obj", ".stl"])
def test_a_mesh_comes_back_as_it_was_saved(ending, tmp_path):
    """Fails if a corner moves, a triangle turns, or a shared point is no longer shared."""
    path = tmp_path / f"solid{ending}"
    save_mesh(path, Mesh(POINTS, TRIANGLES))
    back = read_mesh(path)
    assert back.points.shape == (4, 3)
    corners = back.points[back.triangles]
    np.testing.assert_allclose(corners, POINTS[TRIANGLES])
    assert content(back) == pytest.approx(1.0)


def test_obj_as_other_tools_write_it():
    """Fails if a corner's texture, a negative number, a polygon or a long line is misread."""
    text = b"o x\r\nv 0 0 0 1\nv 1 0 0\nv 1 1 0\nvt 0 0\nvn 0 0 1\nv 0 1 0\nf 1/1/1 2//1 \\\n3 4\n"
    text += b"v 5 5 5\nv 6 5 5\nv 5 6 5\nf -3 -2 -1\nl 1 2\n"
    mesh = parsed_mesh(text, ".obj", where="x")
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]


def ply(order):
    head = f"ply\nformat {order} 1.0\ncomment c\nelement vertex 4\nproperty uchar red\n"
    head += "property float x\nproperty float y\nproperty float z\nelement face 2\n"
    head += "property list uchar int vertex_indices\nend_header\n"
    points = POINTS.astype("f4")
    faces = [[0, 2, 1], [0, 1, 3, 2]]
    if order == "ascii":
        body = "".join(f"9 {x} {y} {z}\n" for x, y, z in points)
        body += "".join(f"{len(face)} {' '.join(map(str, face))}\n" for face in faces)
        return (head + body).encode()
    mark = "<" if "little" in order else ">"
    body = b"".join(b"\x09" + point.astype(f"{mark}f4").tobytes() for point in points)
    body += b"".join(bytes([len(f)]) + np.array(f, f"{mark}i4").tobytes() for f in faces)
    return head.encode() + body


@pytest.mark.parametrize("order", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_in_all_three_orders(order):
    """Fails if a property before x is taken for it, or bytes are read the wrong way round."""
    mesh = parsed_mesh(ply(order), ".ply", where="x")
    np.testing.assert_allclose(mesh.points, POINTS)
    assert mesh.triangles.tolist() == [[0, 2, 1], [0, 1, 3], [0, 3, 2]]


def test_text_stl():
    """Fails if the text form is taken for the binary one."""
    corners = "".join(f"vertex {x} {y} {z}\n" for x, y, z in POINTS[[0, 2, 1]])
    text = f"solid s\nfacet normal 0 0 1\nouter loop\n{corners}endloop\nendfacet\nendsolid s\n"
    mesh = parsed_mesh(text.encode(), ".stl", where="x")
    np.testing.assert_allclose(mesh.points[mesh.triangles[0]], POINTS[[0, 2, 1]])


@pytest.mark.parametrize(
    ("raw", "ending", "told"),
    [
        (b"v 0 0 0\nv 1 0 0\n", ".obj", "no triangles"),
        (b"v 0 0 0\nf 1 2 3\n", ".obj", "not there"),
        (b"v 0 nan 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", ".obj", "not finite"),
        (b"v a b c\nf 1 2 3\n", ".obj", "damaged"),
        (b"\x89PNG" + bytes(200), ".stl", "no triangles"),
        (b"ply\nformat ascii 1.0\nelement vertex 9\nproperty float x\nend_header\n1", ".ply", "da"),
        (ply("binary_little_endian")[:-6], ".ply", "damaged"),
        (b"", ".ply", "damaged"),
    ],
)
def test_what_is_no_mesh_is_told_in_a_line(raw, ending, told):
    """Fails if a broken file brings a traceback, or a mesh without a surface passes."""
    with pytest.raises(BadInput, match=told) as fault:
        parsed_mesh(raw, ending, where="some.file")
    assert str(fault.value).startswith("some.file: ")
