"""The median filter equals that of SciPy, ties and borders included."""

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter

from attn.stages.flow.median import median_5x5


@pytest.mark.parametrize("levels", [3, 1000])
def test_medians_are_those_of_scipy(levels: int) -> None:
    images = np.random.default_rng(levels).integers(0, levels, (3, 2, 40, 33)).astype(np.float32)
    expected = median_filter(images, size=(1, 1, 5, 5), mode="nearest")
    np.testing.assert_array_equal(median_5x5(torch.from_numpy(images)).numpy(), expected)
