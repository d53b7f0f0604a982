import numpy as np
import pytest

from attn.video.decode import read_frames
from attn.video.orientation import Orientation
from attn.video.sample import Stride

# a, b, c, d of the display matrix: (x, y) → (a·x + c·y, b·x + d·y)
MATRICES = {
    "upright": ((1, 0, 0, 1), lambda image: image),
    "clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "upside down": ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
    "counterclockwise": ((0, -1, 1, 0), lambda image: np.rot90(image)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "mirrored upside down": ((1, 0, 0, -1), np.flipud),
    "transposed": ((0, 1, 1, 0), lambda image: image.swapaxes(0, 1)),
    "transposed the other way": ((0, -1, -1, 0), lambda image: np.rot90(image, 2).swapaxes(0, 1)),
}


@pytest.fixture(scope="module")
def upright(write_clip, smooth):
    return write_clip(smooth(3), ".mp4", "libx264", "yuv420p")


@pytest.mark.parametrize(("matrix", "turn"), MATRICES.values(), ids=MATRICES.keys())
@pytest.mark.parametrize("decoder", ["auto", "decord"])
def test_frames_come_upright(matrix, turn, decoder, upright, with_display_matrix, sequential):
    turned = with_display_matrix(upright, matrix)
    frames = list(read_frames(str(turned), Stride(1), decoder))
    for frame, shown in zip(frames, sequential(upright), strict=True):
        assert np.array_equal(frame.rgb, turn(shown))


def test_turning_copies_nothing():
    rgb = np.zeros((4, 6, 3), np.uint8)
    assert np.shares_memory(rgb, Orientation(True, True, True).apply(rgb))
