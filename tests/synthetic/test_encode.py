"""The files are UCF101's kind, and lose what they are told to lose."""

import av
import numpy as np
import pytest

from attn.synthetic.encode import write_avi


@pytest.fixture
def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    return [np.roll(base, 2 * t, axis=1) for t in range(14)]


def decoded(path) -> np.ndarray:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("mpeg4", 25)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])


def test_frames_come_back_in_order(tmp_path, frames):
    write_avi(tmp_path / "a.avi", frames, 25, quantiser=1)
    back = decoded(tmp_path / "a.avi")
    assert back.shape == (14, 96, 128, 3)
    errors = np.abs(back[:, None].astype(float) - np.stack(frames)).mean(axis=(2, 3, 4))
    assert (errors.argmin(axis=1) == np.arange(14)).all()


def test_a_coarser_quantiser_loses_more_and_takes_less(tmp_path, frames):
    losses, sizes = [], []
    for quantiser in (1, 8, 31):
        path = tmp_path / f"{quantiser}.avi"
        write_avi(path, frames, 25, quantiser)
        losses.append(np.abs(decoded(path).astype(float) - np.stack(frames)).mean())
        sizes.append(path.stat().st_size)
    assert losses[0] < losses[1] < losses[2]
    assert sizes[0] > sizes[1] > sizes[2]


def test_the_quantiser_stays_however_many_bits_it_takes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (12, 120, 160, 1), np.uint8).repeat(3, axis=3)
    write_avi(tmp_path / "a.avi", list(noise), 25, quantiser=2)
    assert np.abs(decoded(tmp_path / "a.avi").astype(float) - noise).mean() < 4
