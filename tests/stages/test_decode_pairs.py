"""Pairs of frames: each frame with the next one, in all chunks and batches, and the last pair twice."""

import numpy as np
import pytest

from attn.schema import FRAME, IMAGE, VIDEO_ID
from attn.stages import decode_pairs
from attn.stages.decode_pairs import DecodePairs
from attn.stages.decode_videos import DecodeVideos
from attn.storage.writer import LAST, POSITION
from attn.video import chunks
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import list_videos


def rows(stage: DecodeVideos, clips: str) -> dict[str, np.ndarray]:
    with FrameReader() as reader:
        batches = list(stage(list_videos(clips), reader))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_each_frame_is_paired_with_the_next_of_its_video(clip_folder) -> None:
    """Clips of 1 to 130 frames: shorter and longer than a chunk of the decoder, and one frame longer than four."""
    lengths = (1, 2, 12, 30, 65, 19)
    assert 2 * chunks.MOST_FRAMES + 1 in lengths
    single = rows(DecodeVideos(Stride(2), 16, 7), str(clip_folder))
    pairs = rows(DecodePairs(Stride(2), 16, 7), str(clip_folder))
    for name in (VIDEO_ID, FRAME, POSITION, LAST):
        np.testing.assert_array_equal(pairs[name], single[name])
    assert sorted(np.unique(pairs[VIDEO_ID], return_counts=True)[1]) == sorted(lengths)
    for video_id in np.unique(pairs[VIDEO_ID]):
        frames, found = single[IMAGE][single[VIDEO_ID] == video_id], pairs[IMAGE][pairs[VIDEO_ID] == video_id]
        expected = [(frames[i], frames[i + 1]) for i in range(len(frames) - 1)]
        expected.append(expected[-1] if expected else (frames[0], frames[0]))
        np.testing.assert_array_equal(found, np.array(expected))


def test_a_pair_counts_twice_the_bytes_of_a_frame() -> None:
    assert decode_pairs.DecodePairs(Stride(1), 16, 4).frame_bytes == 2 * DecodeVideos(Stride(1), 16, 4).frame_bytes


@pytest.mark.parametrize("batch_size", [1, 64])
def test_pairs_do_not_depend_on_the_size_of_a_batch(clip_folder, batch_size: int) -> None:
    some = rows(DecodePairs(Stride(3), 8, batch_size), str(clip_folder / "Kick"))
    np.testing.assert_array_equal(some[IMAGE], rows(DecodePairs(Stride(3), 8, 5), str(clip_folder / "Kick"))[IMAGE])
