"""Brain patches: cubes cut from the MNI152 template that the package nilearn carries."""

from itertools import product

import numpy as np

from unmist.base.faults import BadInput
from unmist.data.dataset import Rows

__all__ = ["brain", "cut"]

EDGE, BLOCK, STRIDE = 32, 48, 4  # cells of a patch, of what is held out together, between patches
LEAST = 0.3  # of a patch's cells lie in the head
LIGHT = 0.15  # of the lightest cell: above it a cell is tissue


def brain() -> Rows:
    """Patches of 32x32x32 cells of 1 mm, grey, from one head averaged of 152 (T1, symmetric).

    As numbers of each patch: `side` from the middle plane, `front` and `up`, in cm from the
    template's origin. Blocks of 48 cells, with what mirrors them, are trained on or held out whole.
    Raises BadInput where nilearn is not installed.
    """
    try:
        from nilearn.datasets import load_mni152_template  # type: ignore[import-not-found]
    except ImportError:
        mend = "pip install 'unmist[brain]'"
        raise BadInput("needs the package nilearn", where="brain", mend=mend) from None
    image = load_mni152_template(resolution=1)
    return cut(np.asarray(image.get_fdata(), np.float32), np.asarray(image.affine, np.float64))


def cut(head: np.ndarray, affine: np.ndarray) -> Rows:
    """Patches of a head (x, y, z), left-right symmetric along x; affine (4, 4) in mm."""
    levels = np.floor(head.clip(0) / head.max() * 255 + 0.5).astype(np.uint8)
    counts = [n // BLOCK for n in head.shape]
    first = [(n - BLOCK * count) // 2 for n, count in zip(head.shape, counts, strict=True)]
    offsets = range(0, BLOCK - EDGE + 1, STRIDE)
    values, group, middles = [], [], []
    for block in product(*map(range, counts)):
        for offset in product(offsets, repeat=3):
            at = [f + BLOCK * b + o for f, b, o in zip(first, block, offset, strict=True)]
            patch = levels[tuple(slice(a, a + EDGE) for a in at)]
            if np.mean(patch > LIGHT * 255) < LEAST:
                continue
            values.append(patch)
            mirrored = min(block[0], counts[0] - 1 - block[0])
            group.append(np.ravel_multi_index((mirrored, *block[1:]), counts))
            middles.append([a + (EDGE - 1) / 2 for a in at])
    place = (np.array(middles) @ affine[:3, :3].T + affine[:3, 3]) / 10
    return Rows(
        name="brain",
        values=np.stack(values)[:, None],
        sources=tuple(f"brain/{x:.1f},{y:.1f},{z:.1f} mm" for x, y, z in place * 10),
        group=np.array(group),
        given={"side": np.abs(place[:, 0]), "front": place[:, 1], "up": place[:, 2]},
        held=0.2,
        licence="ICBM 152 nonlinear symmetric template 2009a (V. Fonov et al., McGill), free to "
        "use and pass on with its notice; as nilearn carries it",
    )
