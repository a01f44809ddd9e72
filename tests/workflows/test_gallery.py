"""Samples as pictures."""

import numpy as np
from PIL import Image

from unmist.workflows.gallery import save_grid
from unmist.workflows.sample import Samples


def test_one_sample_alone_is_written_as_it_is(tmp_path):
    # fails if `sample --like P --to X.png` gives another picture than P: it was enlarged
    pixels = np.arange(2 * 3 * 8 * 8, dtype=np.uint8).reshape(2, 3, 8, 8)
    alone = save_grid(Samples(pixels[:1], {}, 1), tmp_path / "alone.png")
    with Image.open(alone) as picture:
        assert (np.asarray(picture) == pixels[0].transpose(1, 2, 0)).all()
    both = save_grid(Samples(pixels, {}, 1), tmp_path / "both.png")
    with Image.open(both) as picture:
        assert picture.size == (10 * 8 * 2 + 2, 10 * 8)
