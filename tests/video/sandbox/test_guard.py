import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from attn.errors import FleetingError, UsageError, VideoError
from attn.video.reading import VideoHeader
from attn.video.sample import Fps, Stride
from attn.video.sandbox.decoder_child import DecoderChild
from attn.video.sandbox.guard import FrameReader
from attn.video.transform import Resampling, resize_and_crop


@pytest.fixture(scope="module")
def shared_reader():
    with FrameReader() as reader:
        yield reader


def images_of(reading):
    return np.concatenate([chunk.images for chunk in reading])


def test_frames_arrive_as_they_are(shared_reader, write_clip, numbered):
    images = numbered(100)
    reading = shared_reader.read(write_clip(images), Stride(3), None)
    chunks = list(reading)
    assert np.concatenate([chunk.index for chunk in chunks]).tolist() == list(range(0, 100, 3))
    assert np.concatenate([chunk.time_s for chunk in chunks]) == pytest.approx([i / 25 for i in range(0, 100, 3)])
    assert np.array_equal(np.concatenate([chunk.images for chunk in chunks]), images[::3])
    assert not reading.end.truncated
    assert reading.end.decoder == "pyav"


def test_frames_are_resized_in_the_child(shared_reader, write_clip, numbered):
    images = numbered(10)
    found = images_of(shared_reader.read(write_clip(images), Fps(5.0), 20))
    assert np.array_equal(found, [resize_and_crop(image, 20) for image in images[::5]])
    closer = Resampling("bicubic", 0.5)
    found = images_of(shared_reader.read(write_clip(images), Fps(5.0), 20, resampling=closer))
    assert np.array_equal(found, [resize_and_crop(image, 20, closer) for image in images[::5]])


@pytest.mark.parametrize("decoder", ["auto", "pyav", "decord"])
def test_real_clips_arrive_as_pyav_decodes_them(decoder, some_real_clip, shared_reader, sequential):
    expected = np.stack(sequential(some_real_clip, every=10))
    found = images_of(shared_reader.read(some_real_clip, Stride(10), None, decoder=decoder))
    assert abs(found.astype(np.int16) - expected).max() <= 2 * (decoder == "decord")


def test_chunks_that_are_all_held_keep_their_images(shared_reader, long_clip, numbered):
    chunks = list(shared_reader.read(long_clip, Stride(1), None))
    assert len(chunks) > 8
    again = list(shared_reader.read(long_clip, Stride(1), None))  # would overwrite what is still lent
    for each in (chunks, again):
        assert np.array_equal(np.concatenate([chunk.images for chunk in each]), numbered(400, 16, 16))


def test_images_outlive_the_reader(long_clip, numbered):
    with FrameReader() as reader:
        chunk = next(reader.read(long_clip, Stride(1), None))
    assert np.array_equal(chunk.images, numbered(400, 16, 16)[: len(chunk.index)])


@pytest.mark.parametrize("leave", ["close", "drop", "keep"])
def test_a_reading_may_be_left_early(leave, reader, long_clip):
    reading = reader.read(long_clip, Stride(1), None)
    next(reading)
    pid = reader.child_pid
    if leave == "close":
        reading.close()
    elif leave == "drop":
        reading = None
        gc.collect()
    assert len(images_of(reader.read(long_clip, Stride(5), None))) == 80
    assert reader.child_pid == pid  # the same child went on
    if leave == "keep" and reading is not None:
        with pytest.raises(RuntimeError, match="was ended by the next one"):
            next(reading)


def test_a_bad_video_does_not_hurt_the_next(shared_reader, write_clip, numbered, tmp_path):
    bad = tmp_path / "bad.avi"
    bad.write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"bad\.avi: cannot be opened as a video"):
        list(shared_reader.read(bad, Stride(1), None))
    assert len(images_of(shared_reader.read(write_clip(numbered(3)), Stride(1), None))) == 3


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crash_is_that_videos_failure_and_the_next_one_is_read(how, reader, long_clip):
    reading = reader.read(long_clip, Stride(1), None)
    next(reading)
    os.kill(reader.child_pid, how)
    with pytest.raises(VideoError, match=rf"clip\d+\.mkv: the decoder crashed \(signal {how.value}\)"):
        list(reading)
    assert len(images_of(reader.read(long_clip, Stride(5), None))) == 80


def test_a_hang_is_that_videos_failure_and_the_next_one_is_read(reader, long_clip):
    reading = reader.read(long_clip, Stride(1), None, timeout_s=0.5)
    next(reading)
    os.kill(reader.child_pid, signal.SIGSTOP)
    started_s = time.monotonic()
    with pytest.raises(VideoError, match=r"the decoder made no progress for 0\.5 s"):
        list(reading)
    assert time.monotonic() - started_s < 5
    assert len(images_of(reader.read(long_clip, Stride(5), None))) == 80


def test_a_child_that_died_between_two_videos_is_replaced(reader, long_clip):
    assert len(images_of(reader.read(long_clip, Stride(100), None))) == 4
    os.kill(reader.child_pid, signal.SIGKILL)
    time.sleep(0.2)
    assert len(images_of(reader.read(long_clip, Stride(100), None))) == 4


def test_a_slow_caller_is_not_a_hang(reader, long_clip):
    reading = reader.read(long_clip, Stride(1), None, timeout_s=0.5)
    count = len(next(reading).index)
    time.sleep(1.0)
    assert count + sum(len(chunk.index) for chunk in reading) == 400


def test_frames_that_are_not_kept_are_progress(reader, write_clip, smooth):
    path = write_clip(smooth(2, 720, 1280) * 100, codec="mjpeg", pix_fmt="yuvj444p")
    list(reader.read(path, Stride(200), 16))  # starts the child
    started_s = time.monotonic()
    list(reader.read(path, Stride(200), 16))
    whole_s = time.monotonic() - started_s
    for _ in range(3):  # a machine that is busy elsewhere may stall for once
        with contextlib.suppress(VideoError):
            assert len(images_of(reader.read(path, Stride(200), 16, timeout_s=0.5 * whole_s))) == 1
            return
    pytest.fail("a reading of twice the timeout was ended although frames were decoded all the time")


@pytest.mark.parametrize("state", ["decoding", "stopped"])
def test_the_child_does_not_outlive_a_killed_parent(state, long_clip):
    code = (
        "import sys, time; from attn.video.sandbox.guard import FrameReader; from attn.video.sample import Stride\n"
        "reader = FrameReader(); next(reader.read(sys.argv[1], Stride(1), None)); print(reader.child_pid, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(long_clip)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if state == "stopped":
            os.kill(pid, signal.SIGSTOP)
        parent.kill()
    deadline_s = time.monotonic() + 5
    while (status := Path(f"/proc/{pid}/status")).exists() and "\nState:\tZ" not in status.read_text():
        assert time.monotonic() < deadline_s, "the child lives on"
        time.sleep(0.02)


def test_it_works_in_any_thread(reader, long_clip):
    found = []

    def read():
        found.append(len(images_of(reader.read(long_clip, Stride(5), None))))

    for _ in range(2):  # the thread that started the child is gone when the second one reads
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert found == [80, 80]


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
def test_memory_does_not_grow_with_the_length(decoder, reader, write_clip, smooth):
    def peak_kib(path):
        assert sum(len(chunk.index) for chunk in reader.read(path, Stride(5), 64, decoder)) > 0
        (line,) = (x for x in Path(f"/proc/{reader.child_pid}/status").read_text().splitlines() if "VmHWM" in x)
        return int(line.split()[1])

    images = smooth(50, 16, 16)
    short, long = (write_clip(images * n, ".avi", "mpeg4", "yuv420p", g="12") for n in (20, 300))
    short_kib = peak_kib(short)
    assert peak_kib(long) - short_kib < 2048


CODECS = {  # with libraries of their own, and FFmpeg's
    "mpeg4": (".avi", "mpeg4", {}),
    "h264": (".mp4", "libx264", {}),
    "h265": (".mp4", "libx265", {"x265-params": "log-level=none"}),
    "vp8": (".webm", "libvpx", {}),
    "vp9": (".webm", "libvpx-vp9", {}),
    "av1": (".mp4", "libsvtav1", {}),
    "mjpeg": (".mov", "mjpeg", {}),
    "jpeg2000": (".mov", "jpeg2000", {}),
    "ffv1": (".mkv", "ffv1", {"slices": "4"}),
}


@pytest.mark.parametrize(("suffix", "codec", "options"), CODECS.values(), ids=CODECS.keys())
def test_no_codec_needs_a_thread(suffix, codec, options, shared_reader, write_clip, smooth, sequential):
    """Of the decoder process, which may start none."""
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_clip(smooth(20, 128, 192), suffix, codec, pix_fmt, **options)
    assert np.array_equal(images_of(shared_reader.read(path, Stride(1), None)), sequential(path))
    assert len(os.listdir(f"/proc/{shared_reader.child_pid}/task")) == 1


def test_who_asks_for_decord_gets_a_child_that_starts_threads(reader, write_clip, numbered):
    pytest.importorskip("decord")
    clip = write_clip(numbered(40), ".avi", "mpeg4", "yuv420p", g="12")
    pids, decoders = [], []
    for decoder in ("auto", "decord", "auto", "decord"):
        reading = reader.read(clip, Stride(5), 16, decoder)
        assert len(images_of(reading)) == 8
        pids.append(reader.child_pid)
        decoders.append(reading.end.decoder)
    assert decoders == ["pyav", "decord", "pyav", "decord"]
    assert pids[0] != pids[1] == pids[2] == pids[3]


def test_a_header_is_looked_at_between_two_readings(reader, long_clip, write_clip, numbered, tmp_path):
    left = reader.read(long_clip, Stride(1), None)
    next(left)
    pid = reader.child_pid
    assert reader.header(long_clip) == VideoHeader(25.0, 400.0)  # of a duration, not a count
    with pytest.raises(RuntimeError, match="was ended by the next one"):
        next(left)
    with pytest.raises(VideoError, match=r"missing\.avi: cannot be opened as a video"):
        reader.header(tmp_path / "missing.avi")
    assert reader.header(write_clip(numbered(3), ".avi", rate=10)) == VideoHeader(10.0, 3.0)
    assert len(images_of(reader.read(long_clip, Stride(5), None))) == 80
    assert reader.child_pid == pid


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        (signal.SIGSTOP, r"the decoder made no progress for 0\.5 s"),
        (signal.SIGKILL, r"the decoder crashed \(signal 9\)"),
    ],
)
def test_a_hang_or_crash_at_a_header_is_that_videos_failure(how, complaint, reader, long_clip, monkeypatch):
    pid = reader.header(long_clip) and reader.child_pid
    tell = DecoderChild.tell
    with monkeypatch.context() as patch:
        patch.setattr(DecoderChild, "tell", lambda child, message: os.kill(pid, how) or tell(child, message))
        with pytest.raises(FleetingError, match=rf"clip\d+\.mkv: {complaint}"):
            reader.header(long_clip, timeout_s=0.5)
    assert reader.header(long_clip).frames == 400


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_look_that_was_broken_off_is_over_for_the_next(error, reader, long_clip, monkeypatch):
    pid = reader.header(long_clip) and reader.child_pid

    def broken_off(child: DecoderChild, timeout_s: float) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(DecoderChild, "hear", broken_off)
        with pytest.raises(error):
            reader.header(long_clip)
    assert len(images_of(reader.read(long_clip, Stride(5), None, timeout_s=20.0))) == 80
    assert reader.child_pid == pid


def test_a_path_is_that_of_the_caller(reader, write_clip, numbered, monkeypatch, tmp_path):
    list(reader.read(write_clip(numbered(1)), Stride(1), None))  # the child starts in another folder
    monkeypatch.chdir(tmp_path)
    Path("here.mkv").write_bytes(write_clip(numbered(2)).read_bytes())
    assert len(images_of(reader.read("here.mkv", Stride(1), None))) == 2


def test_a_missing_decord_is_told_before_any_work(reader, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="--decoder decord: decord is not installed"):
        reader.read("any.avi", Stride(1), None, decoder="decord")
    assert reader.child_pid is None
