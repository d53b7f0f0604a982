import tracemalloc

import numpy as np
import pytest
from PIL import Image

from attn.video.transform import resize_and_crop


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
