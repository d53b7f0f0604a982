import numpy as np
import pytest

from attn.video.chunks import MOST_BYTES, MOST_FRAMES, gather
from attn.video.reading import Frame, Reading, VideoEnd
from attn.video.transform import resize_and_crop

END = VideoEnd(truncated=False, decoder="pyav")


def frames_of(images):
    yield from (Frame(5 * i, i / 4, image) for i, image in enumerate(images))
    return END


def chunks_of(images, size=None):
    chunks = Reading(gather(Reading(frames_of(images)), size, lambda shape: np.zeros(shape, np.uint8)))
    return list(chunks), chunks.end


@pytest.mark.parametrize("count", [1, MOST_FRAMES, MOST_FRAMES + 1, 3 * MOST_FRAMES])
def test_all_frames_come_in_order_in_bounded_chunks(count, numbered):
    images = numbered(count, 6, 8)
    chunks, end = chunks_of(images)
    assert max(len(chunk.index) for chunk in chunks) <= MOST_FRAMES
    assert len(chunks) == -(-count // MOST_FRAMES)
    assert np.concatenate([chunk.index for chunk in chunks]).tolist() == list(range(0, 5 * count, 5))
    assert np.concatenate([chunk.time_s for chunk in chunks]).tolist() == [i / 4 for i in range(count)]
    assert np.array_equal(np.concatenate([chunk.images for chunk in chunks]), images)
    assert end is END


def test_columns_have_the_types_of_the_store(numbered):
    (chunk,), _ = chunks_of(numbered(2))
    assert (chunk.index.dtype, chunk.time_s.dtype, chunk.images.dtype) == (np.int32, np.float32, np.uint8)


def test_images_are_resized_when_a_size_is_given(numbered):
    images = numbered(3)
    (chunk,), _ = chunks_of(images, size=16)
    assert np.array_equal(chunk.images, [resize_and_crop(image, 16) for image in images])


def test_a_chunk_ends_where_the_size_changes(numbered):
    chunks, _ = chunks_of([*numbered(3, 6, 8), *numbered(2, 8, 6)])
    assert [chunk.images.shape for chunk in chunks] == [(3, 6, 8, 3), (2, 8, 6, 3)]


def test_large_frames_make_short_chunks():
    height, width = 1000, MOST_BYTES // 3000 // 2 - 1
    chunks, _ = chunks_of([np.zeros((height, width, 3), np.uint8)] * 3)
    assert [len(chunk.index) for chunk in chunks] == [2, 1]


def test_a_frame_larger_than_a_chunk_is_one_chunk():
    chunks, _ = chunks_of([np.zeros((1000, MOST_BYTES // 1000, 3), np.uint8)] * 2)
    assert [len(chunk.index) for chunk in chunks] == [1, 1]
