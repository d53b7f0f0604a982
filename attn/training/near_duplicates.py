"""Detection of near-duplicate images, because image searches return popular photographs many times.

If one copy is trained on and another is held out, validation accuracy is inflated. Duplicates also give a photograph
more weight in training.
"""

import numpy as np
from jaxtyping import Float, Int, UInt8

from attn.errors import UsageError

THRESHOLD = 0.88
LEVELS, GRID = 8, 2
BINS = GRID**2 * LEVELS**3

ROWS_AT_ONCE = 256
_ROUNDING = 1e-5  # tolerance for float32 sums, so that two identical images reach a threshold of 1


def near_duplicates(
    pixels: UInt8[np.ndarray, "image row col rgb"], labels: Int[np.ndarray, "image"], *, threshold: float = THRESHOLD
) -> Int[np.ndarray, "image"]:
    """Find the earlier image of the same class that each image duplicates; −1 for images to keep.

    Images are compared only with kept images, and assigned to the most similar one. An image that is similar to a
    duplicate but not to the original is therefore kept. The first of several duplicates is kept: sort by name to make
    the result independent of the listing.

        similarity(a, b) = Σ_bins min(a, b)        1 for equal histograms

    Resized, recompressed, captioned and slightly cropped copies are found. Mirrored copies are not found, nor half of
    the copies brightened by 5 % and most of those brightened by 15 %. The default threshold was chosen on 640
    photographs of an image search (25,280 pairs of one class) and on copies of 160 of them, made in ten ways: different
    photographs do not reach it (the highest similarity is 0.86), and nine of ten copies do. A colour histogram of the
    whole image, without quarters, confuses photographs with dark or white backgrounds (two pairs at 0.94 and 0.91), and
    with a threshold above that finds only half of the copies.

    The price: 16 KB of memory per image of the largest class, and a time quadratic in its size. 5,000 images of one
    class take 80 MB and, on two cores, 4 s for the histograms and 0.4 s for the comparison.

    Args:
        pixels: images of one size with equal preprocessing; may be memory-mapped. Exclude images that could not be
            read, because their black placeholders would count as duplicates.
        labels: class ids; images are compared only within a class.
        threshold: minimum similarity of duplicates, above 0 and up to 1.

    Raises:
        UsageError: the threshold is out of range.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"near-duplicate threshold {threshold:g}: must be above 0 and up to 1.")
    original = np.full(len(labels), -1)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        found = _repeated(np.stack([colour_histogram(pixels[index]) for index in members]), threshold - _ROUNDING)
        original[members] = np.where(found < 0, -1, members[found])
    return original


def colour_histogram(image: UInt8[np.ndarray, "row col rgb"]) -> Float[np.ndarray, f"bin={BINS}"]:
    """Joint RGB histogram (8 levels per channel) of each quarter of an image, normalised to a total of 1.

    The intersection of two histograms is the share of the area that two images have in common, for any image size.
    Quarters are used because photographs with a black background have similar colours, but in different places.
    """
    height, width = image.shape[:2]
    level = image.astype(np.int32) * LEVELS // 256
    colour = (level[..., 0] * LEVELS + level[..., 1]) * LEVELS + level[..., 2]
    cell = (np.arange(height) * GRID // height)[:, None] * GRID + np.arange(width) * GRID // width
    counts = np.bincount((cell * LEVELS**3 + colour).ravel(), minlength=BINS)
    return (counts / (height * width)).astype(np.float32)


def _repeated(histograms: Float[np.ndarray, "image bin"], least: float) -> Int[np.ndarray, "image"]:
    """Most similar kept image before each image; −1 if the similarity is too low.

    Few pairs need an exact comparison: min(a, b) ≤ √(a·b), so a matrix product of square roots gives an upper bound of
    all similarities.
    """
    roots, original = np.sqrt(histograms), np.full(len(histograms), -1)
    for start in range(0, len(roots), ROWS_AT_ONCE):
        bounds = roots[start : start + ROWS_AT_ONCE] @ roots[: start + ROWS_AT_ONCE].T
        for row, bound in enumerate(bounds, start):
            near = np.flatnonzero((bound[:row] >= least) & (original[:row] < 0))
            if len(near):
                similarity = np.minimum(histograms[near], histograms[row]).sum(axis=1)
                best = similarity.argmax()
                original[row] = near[best] if similarity[best] >= least else -1
    return original
