import ast
import inspect
from fractions import Fraction

import av
import numpy as np
import pytest

from attn.report import mp4
from attn.report.mp4 import LONE_FRAME_S, LONGEST_STEP_S, mp4_writer


@pytest.fixture
def written(tmp_path):
    """written(times): path of a video of small pictures at these times; each is darker than the next."""

    def write(times):
        path = tmp_path / "hidden.tmp"
        with mp4_writer(path, 32, 16) as writer:
            for i, time_s in enumerate(times):
                writer.add(np.full((16, 32, 3), 40 + 20 * (i % 10), np.uint8), time_s)
        return path

    return write


def times_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        times = [float(frame.time) for frame in container.decode(stream)]
        return times, float(stream.duration * stream.time_base)


def test_browsers_play_it(written):
    path = written([0, 0.04])
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (32, 16)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("start_s", [0.0, 7.5, -3.0, 90000.0])
def test_frames_keep_their_times_from_the_first_on(start_s, written):
    times = [0, 0.04, 0.08, 0.5, 0.54, 3.25, 3.5]
    found, duration_s = times_of(written([start_s + time_s for time_s in times]))
    assert found == pytest.approx(times, abs=1e-4)
    assert duration_s == pytest.approx(3.75, abs=1e-4)  # the last frame lasts as long as the one before it


def test_times_do_not_drift(written):
    times = [float(i * Fraction(1001, 24000)) for i in range(300)]  # 3753.75 ticks apart
    found, _ = times_of(written(times))
    assert found == pytest.approx(times, abs=1e-5)


def test_a_lone_frame_has_a_duration(written):
    assert times_of(written([5.0])) == ([0], pytest.approx(LONE_FRAME_S))


def test_times_that_mp4_cannot_hold_are_cut_and_equal_times_come_one_after_the_other(written):
    found, _ = times_of(written([0, 0, 2.0**99, 2.0**99]))
    assert found == pytest.approx([0, 0, LONGEST_STEP_S, LONGEST_STEP_S], abs=1e-3)
    assert found == sorted(set(found))


def test_every_frame_leaves_the_encoder_at_once(tmp_path):
    """So that memory holds a few frames, however long the video is."""
    path = tmp_path / "video.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (30, 256, 256, 3), np.uint8)
    with mp4_writer(path, 256, 256) as writer:
        for i, picture in enumerate(noise):
            writer.add(picture, i / 25)
        within = path.stat().st_size
    assert within > 0.6 * path.stat().st_size


def test_the_module_opens_no_file_to_read():
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(mp4))) if isinstance(node, ast.Call)]
    opened = [node for node in calls if ast.unparse(node.func) in {"av.open", "open", "av.container.open"}]
    assert [ast.unparse(node.args[1]) for node in opened] == ["'w'"]
