"""Triangle meshes from .obj, .stl and .ply files, and to .obj and .stl; nothing is executed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from unmist.base import files
from unmist.base.faults import BadInput
from unmist.data.tree import shown

__all__ = ["MESHES", "Mesh", "parsed_mesh", "read_mesh", "save_mesh"]

MESHES = (".obj", ".stl", ".ply")
_MOST = 512 * 2**20  # bytes of one file
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("points", "<f4", (3, 3)), ("rest", "<u2")])
_NUMBERS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Mesh:
    """points float64 (n, 3) as x, y, z; triangles int64 (m, 3), rows of points, outward by hand.

    A triangle's corners run counter-clockwise seen from outside, as every format here has it.
    """

    points: np.ndarray
    triangles: np.ndarray


def read_mesh(path: Path) -> Mesh:
    """The mesh of a file, told apart by its ending. BadInput where it has no triangle."""
    raw = files.read_bytes(path, most=_MOST, links=True)
    return parsed_mesh(raw, path.suffix.lower(), where=shown(str(path)))


def parsed_mesh(raw: bytes, ending: str, *, where: str) -> Mesh:
    """The mesh in the bytes of an .obj, .stl or .ply file; polygons become fans of triangles."""
    try:
        mesh = {".obj": _obj, ".stl": _stl, ".ply": _ply}[ending](raw)
    except (ValueError, IndexError, KeyError, OverflowError, TypeError) as error:
        what = f"is damaged or no {ending[1:].upper()} file ({type(error).__name__})"
        raise BadInput(what, where=where, mend="export it again as .obj or .stl") from None
    rows = mesh.triangles
    if not len(rows) or not np.isfinite(mesh.points).all():
        what = "holds no triangles" if not len(rows) else "holds points that are not finite"
        raise BadInput(what, where=where, mend="export it again, as a mesh")
    if rows.min() < 0 or rows.max() >= len(mesh.points):
        what = "has triangles of points that are not there"
        raise BadInput(what, where=where, mend="export it again")
    return mesh


def _fan(corners: list[int]) -> Iterator[tuple[int, int, int]]:
    for second, third in pairwise(corners[1:]):
        yield corners[0], second, third


def _mesh(points: object, triangles: object) -> Mesh:
    return Mesh(
        np.asarray(points, np.float64).reshape(-1, 3),
        np.asarray(triangles, np.int64).reshape(-1, 3),
    )


def _obj(raw: bytes) -> Mesh:
    """Wavefront: `v x y z`, `f a b c …`, each corner n, n/t, n//m, n/t/m; negative: from behind."""
    points: list[list[bytes]] = []
    triangles: list[tuple[int, int, int]] = []
    for line in raw.replace(b"\\\n", b" ").splitlines():
        words = line.split()
        if words[:1] == [b"v"]:
            points.append(words[1:4])
        elif words[:1] == [b"f"]:
            corners = [int(word.split(b"/", 1)[0]) for word in words[1:]]
            triangles += _fan([n - 1 if n > 0 else len(points) + n for n in corners])
    return _mesh([[float(number) for number in point] for point in points], triangles)


def _stl(raw: bytes) -> Mesh:
    """Binary, or text where the length is not the one of a binary file; equal corners are one."""
    count = int.from_bytes(raw[80:84], "little")
    if len(raw) == 84 + count * _TRIANGLE.itemsize:
        corners = np.frombuffer(raw, _TRIANGLE, count, 84)["points"].reshape(-1, 3)
    else:
        found = re.findall(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", raw)
        corners = np.array(found, "S32").astype(np.float64).reshape(-1, 3)
    points, rows = np.unique(corners, axis=0, return_inverse=True)
    return _mesh(points, rows)


def _ply(raw: bytes) -> Mesh:
    """Stanford: text or binary, vertices with x, y, z, faces as lists; other elements are left."""
    head, mark, body = raw.partition(b"end_header")
    body = body[body.index(b"\n") + 1 :] if mark else b""
    lines = [line.split() for line in head.decode("ascii").splitlines()]
    (order,) = [line[1] for line in lines if line[:1] == ["format"]]
    elements: dict[str, tuple[int, list[list[str]]]] = {}
    for line in lines:
        if line[:1] == ["element"]:
            elements[line[1]] = (int(line[2]), [])
        elif line[:1] == ["property"]:
            list(elements.values())[-1][1].append(line[1:])
    read = _Text(body) if order == "ascii" else _Binary(body, "<" if "little" in order else ">")
    points: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    for name, (count, properties) in elements.items():
        names = [words[-1] for words in properties]
        for _ in range(count):
            row = [read.one(words) for words in properties]
            if name == "vertex":
                points.append([row[names.index(axis)][0] for axis in "xyz"])
            elif name == "face":
                triangles += _fan([int(n) for n in row[_corners(names)]])
    return _mesh(points, triangles)


def _corners(names: list[str]) -> int:
    return names.index("vertex_indices" if "vertex_indices" in names else "vertex_index")


class _Text:
    """The numbers of a text file, one after another."""

    def __init__(self, body: bytes) -> None:
        self.words = iter(body.split())

    def one(self, kind: list[str]) -> list[float]:
        """The next property: [type, name] a number, ["list", count, type, name] several."""
        count = int(next(self.words, b"")) if kind[0] == "list" else 1
        return [float(next(self.words, b"")) for _ in range(count)]


class _Binary:
    """The numbers of a binary file, one after another, in the byte order of `mark`."""

    def __init__(self, body: bytes, mark: str) -> None:
        self.body, self.at, self.mark = body, 0, mark

    def one(self, kind: list[str]) -> list[float]:
        """The next property, as in `_Text`."""
        listed = kind[0] == "list"
        count = int(self._taken(kind[1], 1)[0]) if listed else 1
        return self._taken(kind[2] if listed else kind[0], count).tolist()

    def _taken(self, name: str, count: int) -> np.ndarray:
        dtype = np.dtype(self.mark + _NUMBERS[name])
        found = np.frombuffer(self.body, dtype, count, self.at)
        self.at += count * dtype.itemsize
        return found


def save_mesh(path: Path, mesh: Mesh) -> None:
    """Write an .obj (text, a shared point once) or an .stl (binary), whole or not at all."""
    writers = {".obj": _as_obj, ".stl": _as_stl}
    if path.suffix.lower() not in writers:
        raise BadInput("is no name for a mesh", where=path, mend="end it in .obj or .stl")
    files.write_bytes(path, writers[path.suffix.lower()](mesh))


def _as_obj(mesh: Mesh) -> bytes:
    points = (f"v {x:.6g} {y:.6g} {z:.6g}\n" for x, y, z in mesh.points.tolist())
    faces = (f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in mesh.triangles.tolist())
    return "".join(("# unmist\n", *points, *faces)).encode("ascii")


def _as_stl(mesh: Mesh) -> bytes:
    table = np.zeros(len(mesh.triangles), _TRIANGLE)
    corners = mesh.points[mesh.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    table["normal"], table["points"] = normal / np.where(length > 0, length, 1), corners
    return b"unmist".ljust(80) + len(table).to_bytes(4, "little") + table.tobytes()
