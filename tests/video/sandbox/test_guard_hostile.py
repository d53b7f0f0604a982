"""A decoder in wrong hands, and one that takes all memory: neither hurts its owner or the next video."""

import sys
import time

import numpy as np
import pytest

from attn.errors import FleetingError, VideoError
from attn.video.sample import Stride
from attn.video.sandbox import guard


def images_of(reading):
    return np.concatenate([chunk.images for chunk in reading])


def impostor(folder, code):
    """An interpreter that runs this code in place of the decoder's."""
    (folder / "code.py").write_text(code)
    interpreter = folder / "python"
    interpreter.write_text(f'#!/bin/sh\nshift 3\nexec {sys.executable} {folder}/code.py "$@"\n')
    interpreter.chmod(0o755)
    return str(interpreter)


IMPOSTOR = """
import itertools, os, pickle, socket, struct, sys, time
from attn.video.sandbox.channel import Channel
from attn.video.sandbox.wire import Alive, Filled, Ready, Stopped, VideoEnd, VideoHeader, dump
channel = Channel(socket.socket(fileno=int(sys.argv[1])))
slots = [int(each) for each in sys.argv[2:]]
os.ftruncate(slots[0], 8 * 8 * 3)
one = lambda slot=0, index=0, side=8: dump(Filled(slot, (1, side, side, 3), [index], [0.0]))
class Trap:
    def __reduce__(self):
        return os.mkdir, (os.environ["TMPDIR"] + "/taken",)
channel.send(dump(Ready([])))
channel.receive()
for message in {answers}:
    channel.send(message)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ("[pickle.dumps(Trap())]", "an invalid message"),
        ("[b'[1]']", "an invalid message"),
        ("[one(slot=4)]", "a slot that was not free"),
        ("[one(slot=-1)]", "a slot that was not free"),
        ("[one(), one(index=1)]", "a slot that was not free"),
        ("[one(slot=1)]", "images larger than their slot"),
        ("[one(side=9)]", "frames that were not requested"),
        ("[one(index=7), one(index=7)]", "frames that were not requested"),
        ("[dump(Ready([]))]", "an unexpected message"),
        ("[one(), dump(Stopped())]", "an unexpected message"),
        ("[dump(VideoHeader(25.0, 7.0))]", "an unexpected message"),
        ("[dump(Alive())] * 1000", "more signs of life than requested"),
    ],
)
def test_a_decoder_in_wrong_hands_is_ended_and_the_next_video_read(
    answers, complaint, reader, long_clip, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", impostor(tmp_path, IMPOSTOR.replace("{answers}", answers)))
        patch.setenv("TMPDIR", str(tmp_path))
        reading = reader.read("any.avi", Stride(1), 8)
        with pytest.raises(VideoError, match=f"any.avi: the decoder was ended because it sent {complaint}"):
            list(reading)
    assert not (tmp_path / "taken").exists()
    assert len(images_of(reader.read(long_clip, Stride(100), None))) == 4


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ("[dump(VideoHeader(float('nan'), 7.0))]", "an invalid message"),
        ("[dump(VideoHeader(25.0, 1e300))]", "an invalid message"),
        ("[dump(Alive())]", "an unexpected message"),
        ("[dump(VideoEnd(False, 'pyav'))]", "an unexpected message"),
        ("[one()]", "an unexpected message"),
    ],
)
def test_a_look_at_a_header_believes_nothing_either(answers, complaint, reader, long_clip, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", impostor(tmp_path, IMPOSTOR.replace("{answers}", answers)))
        with pytest.raises(VideoError, match=f"any.avi: the decoder was ended because it sent {complaint}"):
            reader.header("any.avi")
    assert reader.header(long_clip).frames == 400


ALIVE = "itertools.chain([{first}], (time.sleep(0.3) or dump(Alive()) for _ in range(200)))"  # for a minute


def test_a_decoder_that_gives_signs_of_life_and_nothing_else_is_ended(reader, tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "MOST_TIMEOUTS", 3)
    lively = IMPOSTOR.replace("{answers}", ALIVE.replace("{first}", ""))
    monkeypatch.setattr(sys, "executable", impostor(tmp_path, lively))
    with pytest.raises(VideoError, match=r"any.avi: the decoder was ended after 0\.0 h\. Cut the video") as ended:
        list(reader.read("any.avi", Stride(1), 8, timeout_s=1.0))
    assert not isinstance(ended.value, FleetingError)  # it would only take as long again


def test_a_decoder_that_does_not_stop_is_replaced(reader, long_clip, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(
            sys, "executable", impostor(tmp_path, IMPOSTOR.replace("{answers}", ALIVE.replace("{first}", "one()")))
        )
        next(reader.read("any.avi", Stride(1), 8))
    started_s = time.monotonic()
    assert len(next(reader.read(long_clip, Stride(100), None, timeout_s=5.0)).index) == 4
    assert time.monotonic() - started_s < 30


GREEDY = """
import sys
import attn.video.sandbox.decoder_process as process
leaked = []
process.gather = lambda frames, *told, gather=process.gather: gather(Ending(frames), *told)

class Ending:
    def __init__(self, frames):
        self._frames = frames
    def __iter__(self):
        for frame in self._frames:
            leaked.append(bytearray({bytes}))
            yield frame
    @property
    def end(self):
        return self._frames.end

process.main(sys.argv[1:])
"""


def test_a_decoder_that_leaks_is_one_failed_video(reader, long_clip, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", impostor(tmp_path, GREEDY.replace("{bytes}", str(64 << 20))))
        reading = reader.read(long_clip, Stride(1), None)
        with pytest.raises(VideoError, match=r"the decoder crashed \(it reached its memory limit of 4 GiB\)"):
            list(reading)
    assert len(images_of(reader.read(long_clip, Stride(100), None))) == 4


THREADLESS = """
import sys
import attn.video.sandbox.decoder_process as process
def read_frames(*told, read_frames=process.read_frames):
    yield next(read_frames(*told))
    raise process.NoThreadError
process.read_frames = read_frames
process.main(sys.argv[1:])
"""


def test_a_decoder_without_threads_is_not_the_videos_fault(reader, long_clip, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", impostor(tmp_path, THREADLESS))
        with pytest.raises(FleetingError, match=r"the decoder crashed \(it could not start a thread\)"):
            list(reader.read(long_clip, Stride(1), None))
    assert len(images_of(reader.read(long_clip, Stride(100), None))) == 4


def test_a_decoder_that_holds_much_is_replaced_before_the_next_video(reader, long_clip, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", impostor(tmp_path, GREEDY.replace("{bytes}", str(600 << 20))))
        pids = []
        for number in (1, 3, 3):  # of kept frames; each costs 600 MiB
            assert len(images_of(reader.read(long_clip, Stride(-(-400 // number)), None))) == number
            pids.append(reader.child_pid)
    assert pids[0] == pids[1] != pids[2]
