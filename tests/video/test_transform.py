import tracemalloc

import numpy as np
import pytest
from PIL import Image

from attn.video.transform import BILINEAR, Resampling, resize_and_crop


def picture(width, height):
    texture = np.random.default_rng(0).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return Image.fromarray(texture).resize((width, height), Image.Resampling.BICUBIC)


def resize_then_crop(image, size):
    """The two steps, one after the other."""
    scale = size / min(image.size)
    width, height = round(image.width * scale), round(image.height * scale)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = (width - size) // 2, (height - size) // 2
    return np.asarray(resized.crop((left, top, left + size, top + size)))


@pytest.mark.parametrize(
    ("width", "height", "size"), [(320, 240, 120), (240, 320, 120), (64, 64, 64), (10, 6, 90), (1000, 10, 32)]
)
def test_it_is_resizing_then_cropping(width, height, size):
    image = picture(width, height)
    assert np.array_equal(resize_and_crop(image, size), resize_then_crop(image, size))


@pytest.mark.parametrize(("width", "height"), [(320, 240), (448, 300), (333, 217)])
def test_the_two_steps_round_by_half_a_pixel_at_most(width, height):
    image = Image.fromarray(np.tile(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, 1, 3)))
    difference = resize_and_crop(image, 224).astype(int) - resize_then_crop(image, 224)
    steepness = 255 / width * min(width, height) / 224  # grey levels from one output pixel to the next
    assert abs(difference).max() <= 0.5 * steepness + 1


def test_an_array_gives_what_its_image_gives():
    image = picture(90, 70)
    assert np.array_equal(resize_and_crop(np.asarray(image), 48), resize_and_crop(image, 48))


def test_an_array_that_is_a_flipped_view_is_read_as_it_looks():
    array = np.asarray(picture(90, 70))[::-1, ::-1].swapaxes(0, 1)
    assert np.array_equal(resize_and_crop(array, 48), resize_and_crop(array.copy(), 48))


def test_one_pixel_fills_the_square():
    assert (resize_and_crop(np.full((1, 1, 3), 77, np.uint8), 224) == 77).all()


def test_memory_is_bounded_for_a_strip():
    strip = np.zeros((10, 20_000, 3), np.uint8)
    tracemalloc.start()
    assert resize_and_crop(strip, 224).shape == (224, 224, 3)  # resized first, it would be 224 x 448000
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(("width", "height"), [(320, 240), (240, 320)])
def test_a_share_of_the_square_is_resampled_as_asked(width, height):
    image, side = picture(width, height), min(width, height)
    kept = (width - side * 0.5) / 2, (height - side * 0.5) / 2, (width + side * 0.5) / 2, (height + side * 0.5) / 2
    expected = image.crop(tuple(map(int, kept))).resize((60, 60), Image.Resampling.BICUBIC)
    found = resize_and_crop(image, 60, Resampling("bicubic", 0.5))
    assert np.abs(found[4:-4, 4:-4].astype(int) - np.asarray(expected)[4:-4, 4:-4]).max() <= 1  # borders look further
    assert not np.array_equal(found, resize_and_crop(image, 60, Resampling("bilinear", 0.5)))


def test_a_squashed_image_is_there_as_a_whole():
    image = picture(320, 240)
    assert np.array_equal(resize_and_crop(image, 64, Resampling(squash=True)), np.asarray(image.resize((64, 64), 2)))


@pytest.mark.parametrize("resampling", [BILINEAR, Resampling("bicubic", 0.875), Resampling("bicubic", 1 / 3, True)])
def test_a_description_says_all_of_it(resampling):
    assert Resampling.parse(str(resampling)) == resampling


def test_the_description_of_stores_of_before_is_that_of_the_default():
    assert str(BILINEAR) == "centred square, antialiased bilinear (Pillow), uint8 RGB"
    assert Resampling.parse("of another program") == BILINEAR


@pytest.mark.parametrize("wrong", [("cubic", 1.0), ("bilinear", 0.0), ("bilinear", 1.1), ("bilinear", float("nan"))])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="is not supported"):
        Resampling(*wrong)
