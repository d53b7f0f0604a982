"""Copies of a photograph are found within its class; different photographs with the same colours are not."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from attn.datasets.image_folder import list_images, read_image
from attn.errors import UsageError
from attn.synthetic.numbering import Stream, random_state
from attn.synthetic.photograph import photograph
from attn.synthetic.shift import DomainShift
from attn.training import near_duplicates as module
from attn.training.near_duplicates import BINS, THRESHOLD, colour_histogram, near_duplicates
from attn.video.transform import resize_and_crop

SIZE = 96


def picture(item: int) -> Image.Image:
    return photograph(item % 8, random_state(0, Stream.IMAGE, item), DomainShift())


def recompressed(image: Image.Image) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=90)
    return Image.open(data)


def smaller(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def captioned(image: Image.Image) -> Image.Image:
    copy = image.copy()
    ImageDraw.Draw(copy).rectangle((0, int(0.95 * copy.height), copy.width, copy.height), fill="white")
    return copy


def cropped(image: Image.Image) -> Image.Image:
    left, top = image.width // 50, image.height // 50
    return image.crop((left, top, image.width - left, image.height - top))


CHANGES = {
    "the same": lambda image: image,
    "half the size": lambda image: smaller(image, 0.5),
    "recompressed": recompressed,
    "captioned": captioned,
    "cropped": cropped,
}


def prepared(*images: Image.Image) -> np.ndarray:
    return np.stack([resize_and_crop(image, SIZE) for image in images])


def of_colours(*shares: float) -> np.ndarray:
    """Rows of an image in plain greys that fall into bins of their own; the same in every quarter."""
    column = np.repeat(np.arange(len(shares)) * 32, [round(share * 100) for share in shares]).astype(np.uint8)
    return np.broadcast_to(np.tile(column, 2)[:, None, None], (200, 4, 3))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("item", [0, 3, 6])
def test_a_changed_copy_repeats_its_original(change, item):
    pixels = prepared(picture(40), picture(item), picture(41), change(picture(item)))
    assert near_duplicates(pixels, np.zeros(4, int)).tolist() == [-1, -1, -1, 1]


def test_the_same_colours_elsewhere_are_another_photograph():
    left = np.zeros((SIZE, SIZE, 3), np.uint8)
    left[:, : SIZE // 2] = 250
    assert near_duplicates(np.stack([left, left[:, ::-1]]), np.zeros(2, int)).tolist() == [-1, -1]


def test_across_classes_nothing_repeats():
    pixels = prepared(*[picture(0)] * 5)
    assert near_duplicates(pixels, np.array([7, 2, 7, 2, 2])).tolist() == [-1, -1, 0, 1, 1]


def test_originals_are_kept_themselves_and_the_most_similar():
    """b repeats a, c is like b only and stays, d is nearer to c than to a, e repeats a."""
    a, b, c = of_colours(0.5, 0.5), of_colours(0.59, 0.41), of_colours(0.68, 0.32)
    d, e = of_colours(0.6, 0.4), of_colours(0.45, 0.55)
    found = near_duplicates(np.stack([a, b, c, d, e]), np.zeros(5, int), threshold=0.9)
    assert found.tolist() == [-1, 0, -1, 2, 0]


@pytest.mark.parametrize(("threshold", "found"), [(0.81, -1), (0.8, 0), (0.79, 0)])
def test_the_threshold_itself_is_a_repetition(threshold, found):
    pixels = np.stack([of_colours(0.5, 0.5), of_colours(0.7, 0.3)])
    assert near_duplicates(pixels, np.zeros(2, int), threshold=threshold).tolist() == [-1, found]


def test_equal_images_repeat_at_a_threshold_of_one_whatever_rounds():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 37, 41, 3), np.uint8)
    found = near_duplicates(np.concatenate([pixels, pixels]), np.zeros(40, int), threshold=1)
    assert found.tolist() == [-1] * 20 + list(range(20))


def test_agrees_with_slow_loops_over_all_pairs(monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 7)
    rng = np.random.default_rng(1)
    levels = rng.dirichlet([0.6] * 4, 60)
    pixels = np.stack([rng.permutation(np.repeat([10, 80, 150, 220], rng.multinomial(400, p))) for p in levels])
    pixels = np.repeat(pixels.reshape(60, 20, 20, 1), 3, axis=3).astype(np.uint8)
    labels = rng.integers(0, 3, 60)
    expected = slow(pixels, labels, 0.72)
    assert 10 < sum(index >= 0 for index in expected) < 50
    assert near_duplicates(pixels, labels, threshold=0.72).tolist() == expected


def slow(pixels: np.ndarray, labels: np.ndarray, threshold: float) -> list[int]:
    counts = [count(image) for image in pixels]
    original: list[int] = []
    for i in range(len(pixels)):
        best, found = threshold, -1
        for j in range(i):
            shared = (
                sum(min(number, counts[j].get(key, 0)) for key, number in counts[i].items()) / pixels[i, ..., 0].size
            )
            if labels[i] == labels[j] and original[j] < 0 and (shared >= best if found < 0 else shared > best):
                best, found = shared, j
        original.append(found)
    return original


def count(image: np.ndarray) -> dict[tuple, int]:
    counts: dict[tuple, int] = {}
    rows, cols = image.shape[:2]
    for row in range(rows):
        for col in range(cols):
            key = (2 * row // rows, 2 * col // cols, *(int(value) // 32 for value in image[row, col]))
            counts[key] = counts.get(key, 0) + 1
    return counts


def test_a_histogram_has_the_share_of_every_colour_in_every_quarter():
    image = np.random.default_rng(2).integers(0, 256, (9, 14, 3), np.uint8)
    histogram = colour_histogram(image)
    assert histogram.dtype == np.float32
    assert histogram.sum() == pytest.approx(1)
    found = {tuple(np.unravel_index(i, (2, 2, 8, 8, 8))): share * 126 for i, share in enumerate(histogram) if share}
    assert found == pytest.approx(count(image))
    assert len(histogram) == BINS == 2048


def test_larger_copies_have_the_same_histogram():
    image = np.random.default_rng(3).integers(0, 256, (8, 10, 3), np.uint8)
    np.testing.assert_allclose(colour_histogram(image.repeat(5, 0).repeat(3, 1)), colour_histogram(image), rtol=1e-6)


@pytest.mark.parametrize("threshold", [0, -1, 1.01, 88, float("nan")])
def test_no_such_threshold(threshold):
    with pytest.raises(UsageError, match="above 0 and up to 1"):
        near_duplicates(np.zeros((1, 4, 4, 3), np.uint8), np.zeros(1, int), threshold=threshold)


def test_no_images():
    assert near_duplicates(np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0, int)).tolist() == []


def test_different_photographs_of_a_search_stay_and_copies_of_them_go(real_data):
    web = real_data / "sports" / "web"
    if not web.is_dir():
        pytest.skip("real images not present")
    found = list_images(str(web))
    originals = [read_image(path) for path in found.paths]
    copied = range(0, len(originals), 4)
    copies = [
        recompressed(cropped(originals[i].resize((3 * originals[i].width // 4, 3 * originals[i].height // 4))))
        for i in copied
    ]
    pixels, labels = prepared(*originals, *copies), np.concatenate([found.labels, found.labels[::4]])
    repeated = near_duplicates(pixels, labels)
    assert (repeated[: len(originals)] == -1).all()
    assert np.mean(repeated[len(originals) :] == copied) > 0.9, THRESHOLD
