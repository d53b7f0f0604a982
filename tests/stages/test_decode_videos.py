"""Frames of many videos leave as full batches; the end of each is marked; a bad video is one failure."""

import dataclasses
import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from attn.schema import FRAME, LABEL, TRUNCATED, VIDEO_ID
from attn.stages.decode_videos import IMAGE, DecodeVideos
from attn.storage.failures import Failure
from attn.storage.writer import LAST, POSITION
from attn.video.chunks import FrameChunk
from attn.video.reading import Reading
from attn.video.sample import Fps, Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video

LENGTHS = {"one": 1, "few": 7, "many": 50, "some": 23}


@pytest.fixture(scope="module")
def reader() -> Iterator[FrameReader]:
    with FrameReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lossless clips; every frame is plain, its brightness is its index."""
    root = tmp_path_factory.mktemp("clips")
    for name, length in LENGTHS.items():
        with av.open(str(root / f"{name}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "bgr0"
            for i in range(length):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), i, np.uint8))))
            container.mux(stream.encode())
    (root / "text.avi").write_text("no video")
    return root


def video(folder: Path, name: str, label: int | None = None) -> Video:
    return Video(Path(name).stem, str(folder / name), label, None, None)


def test_batches_are_full_whatever_the_videos(folder: Path, reader: FrameReader) -> None:
    stage = DecodeVideos(Stride(2), size=16, batch_size=9)
    videos = [video(folder, f"{name}.mkv", label) for label, name in enumerate(LENGTHS)]
    batches = [batch for batch in stage(videos, reader) if isinstance(batch, dict)]
    kept = {name: -(-length // 2) for name, length in LENGTHS.items()}
    total = sum(kept.values())
    assert [len(batch[FRAME]) for batch in batches] == [9] * (total // 9) + [total % 9]
    rows = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    for label, (name, count) in enumerate(kept.items()):
        mine = rows[VIDEO_ID] == name
        np.testing.assert_array_equal(rows[POSITION][mine], np.arange(count))
        np.testing.assert_array_equal(rows[FRAME][mine], np.arange(count) * 2)
        np.testing.assert_array_equal(rows[LAST][mine], np.arange(count) == count - 1)
        np.testing.assert_array_equal(
            rows[IMAGE][mine], (np.arange(count) * 2)[:, None, None, None] * np.ones((16, 16, 3))
        )
        assert (rows[LABEL][mine] == label).all()
    assert not rows[TRUNCATED].any()


def test_a_batch_is_not_overwritten_by_the_next(folder: Path, reader: FrameReader) -> None:
    stage = DecodeVideos(Stride(1), size=16, batch_size=8)
    first, *rest = [b for b in stage([video(folder, "many.mkv")], reader) if isinstance(b, dict)]
    assert len(rest) == 6
    assert first[IMAGE][:, 0, 0, 0].tolist() == list(range(8))


def test_a_bad_video_is_one_failure_and_the_others_go_on(folder: Path, reader: FrameReader) -> None:
    stage = DecodeVideos(Stride(1), size=16, batch_size=100, attempt=4)
    videos = [video(folder, "few.mkv"), video(folder, "text.avi"), video(folder, "gone.mkv"), video(folder, "one.mkv")]
    items = list(stage(videos, reader))
    failures = [item for item in items if isinstance(item, Failure)]
    (batch,) = [item for item in items if isinstance(item, dict)]
    assert {failure.video_id for failure in failures} == {"text", "gone"}
    assert all((f.stage, f.error, f.attempt) == ("decode", "VideoError", 4) and f.message for f in failures)
    assert batch[VIDEO_ID].tolist() == ["few"] * 7 + ["one"]
    assert batch[LABEL].tolist() == [-1] * 8


def test_a_truncated_video_keeps_its_frames_and_is_marked(folder: Path, reader: FrameReader, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mkv"
    content = (folder / "many.mkv").read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    stage = DecodeVideos(Stride(1), size=16, batch_size=100)
    (batch,) = stage([video(tmp_path, "cut.mkv")], reader)
    assert isinstance(batch, dict)
    count = len(batch[FRAME])
    assert 5 < count < 50
    assert batch[IMAGE][:, 0, 0, 0].tolist() == list(range(count))
    assert batch[TRUNCATED].tolist() == [False] * (count - 1) + [True]


def test_a_failure_names_the_member_of_a_tar_not_a_copy(folder: Path, reader: FrameReader, tmp_path: Path) -> None:
    shard = tmp_path / "shard.tar"
    shard.write_bytes(b"no video")
    member = Video("text", str(shard), None, offset=0, size=8, member="inner/text.avi")
    (failure,) = DecodeVideos(Stride(1), size=16, batch_size=8)([member], reader)
    assert isinstance(failure, Failure)
    assert failure.message.startswith(f"{shard}: inner/text.avi: ")


def test_a_failure_is_one_plain_line_whatever_the_name(reader: FrameReader, tmp_path: Path) -> None:
    name = "\x1b[31mred\nand \u202eback.avi"
    (failure,) = DecodeVideos(Stride(1), size=16, batch_size=8)([video(tmp_path, name)], reader)
    assert isinstance(failure, Failure)
    assert failure.message.isprintable()
    assert "[31mred and back.avi" in failure.message


def test_a_video_of_which_no_frame_is_kept_is_a_failure_that_names_it(reader: FrameReader, tmp_path: Path) -> None:
    path = tmp_path / "before.wmv"
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuvj420p"
        for i in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), i, np.uint8))
            frame.pts, frame.time_base = i - 20, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (failure,) = DecodeVideos(Fps(5.0), size=16, batch_size=8)([video(tmp_path, path.name)], reader)
    assert isinstance(failure, Failure)
    assert failure.message.startswith(f"{path}: no usable frames")


@pytest.mark.parametrize("last_try", [False, True])
def test_what_may_go_better_the_next_time_is_no_failure_before_the_last(
    last_try: bool, folder: Path, reader: FrameReader, tmp_path: Path
) -> None:
    changing = Path(shutil.copy(folder / "many.mkv", tmp_path))
    stage = DecodeVideos(Stride(1), size=16, batch_size=8, last_try=last_try)
    found = []
    for one in stage([Video("many", str(changing), None, None, None), video(folder, "gone.avi")], reader):
        found.append(one)
        os.utime(changing, (0, 0))
    assert isinstance(found[0], dict)  # it was being read when it was changed
    assert [one.video_id for one in found if isinstance(one, Failure)] == ["many"] * last_try + ["gone"]
    assert not any(batch[LAST].any() for batch in found if isinstance(batch, dict))


class ShortOfMemory(FrameReader):
    """On a machine on which nothing can be started."""

    def read(self, *_: object, **__: object) -> Reading[FrameChunk]:
        raise MemoryError


def test_a_machine_in_trouble_is_no_videos_fault(folder: Path) -> None:
    stage = DecodeVideos(Stride(1), size=16, batch_size=8, last_try=False)
    assert list(stage([video(folder, "many.mkv")], ShortOfMemory())) == []
    (failure,) = dataclasses.replace(stage, last_try=True)([video(folder, "many.mkv")], ShortOfMemory())
    assert isinstance(failure, Failure)
    assert failure.error == "MemoryError"
