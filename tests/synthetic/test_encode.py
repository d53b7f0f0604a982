"""The files are UCF101's kind, and lose what they are told to lose."""

import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from attn.synthetic.encode import write_avi, write_mp4

ENCODE = """
import sys, numpy as np
from fractions import Fraction
from pathlib import Path
from attn.synthetic.encode import write_mp4
noise = np.random.default_rng(0).normal(0, 8, (90, 120, 160, 3)).astype(np.float32)
shade = np.linspace(40, 200, 160, dtype=np.float32)[None, :, None]
frames = (np.clip(np.roll(shade, t, 1) + noise[t], 0, 255).astype(np.uint8) for t in range(90))
write_mp4(Path(sys.argv[1]), frames, Fraction(25), 20)
"""


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


def test_equal_frames_give_equal_files_whatever_was_in_memory_before(tmp_path):
    files = [tmp_path / f"{fill}.mp4" for fill in (1, 170)]
    for path in files:  # glibc fills memory that is allocated and freed with this byte
        environment = {**os.environ, "MALLOC_PERTURB_": path.stem, "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-c", ENCODE, str(path)], env=environment, check=True)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_mp4_frames_have_their_times_and_more_loss_takes_fewer_bytes(tmp_path, frames):
    sizes = []
    for factor in (5, 40):
        path = tmp_path / f"{factor}.mp4"
        write_mp4(path, iter(frames), Fraction(30000, 1001), factor)
        with av.open(str(path)) as container:
            times = [frame.time for frame in container.decode(video=0)]
        assert times == pytest.approx([i * 1001 / 30000 for i in range(14)], abs=1e-5)
        sizes.append(path.stat().st_size)
    assert sizes[0] > 1.5 * sizes[1]


def test_without_frames_there_is_no_file(tmp_path):
    write_mp4(tmp_path / "a.mp4", iter(()), Fraction(25), 20)
    assert not list(tmp_path.iterdir())
