"""Frames of a store's videos as pictures, decoded by the confined process when they are looked at."""

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress

from attn.commands.store_videos import sampling_of
from attn.errors import VideoError
from attn.report.page_pictures import jpeg
from attn.stages.decode_videos import with_video_name
from attn.storage.bounded_cache import BoundedCache
from attn.storage.manifest import Manifest
from attn.video.chunks import FrameChunk
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video, open_video
from attn.video.transform import Resampling

SIDE_PX = 320
CACHE_BYTES = 64 << 20


class OvertakenError(Exception):
    """A later request ended the decoding of this one."""


class Pictures:
    """Pictures of the part of each sampled frame that the CNN sees, as JPEG.

    A video is decoded from its beginning to the wanted frame and then on from there; pictures on the way are kept, up
    to 64 MB. A later request for another frame overtakes an earlier one, so that a long video blocks no other.

    Args:
        videos: videos by their IDs in the store.
        manifest: manifest of the store.
    """

    def __init__(self, videos: Mapping[str, Video], manifest: Manifest):
        self._videos, self._sampling = videos, sampling_of(manifest)
        self._resampling = Resampling.parse(manifest.preprocessing)
        self._cache = BoundedCache[bytes](CACHE_BYTES, len)
        self._reader, self._lock = FrameReader(), threading.Lock()
        self._tickets, self._latest = itertools.count(1), 0
        self._open = ExitStack()
        self._chunks: Iterator[FrameChunk] = iter(())
        self._video_id, self._reached = "", -1

    def get(self, video_id: str, frame: int) -> bytes:
        """Return the picture of a frame.

        Args:
            video_id: ID of the video in the store.
            frame: index of the frame in the source.

        Raises:
            VideoError: the video is not there or cannot be read, or no longer has this frame.
            OvertakenError: a later request ended this one.
        """
        if (found := self._cache.get((video_id, frame))) is not None:
            return found
        self._latest = ticket = next(self._tickets)
        with self._lock:
            if (found := self._cache.get((video_id, frame))) is not None:
                return found
            if self._latest != ticket:
                raise OvertakenError
            if self._video_id != video_id or self._reached >= frame:
                self._begin(video_id)
            try:
                return self._decode(video_id, frame, ticket)
            except VideoError:
                self._end()
                raise

    def close(self) -> None:
        """End the decoder process."""
        with self._lock:
            self._end()
            self._reader.close()

    def _decode(self, video_id: str, frame: int, ticket: int) -> bytes:
        while (chunk := next(self._chunks, None)) is not None:
            wanted = None
            for index, image in zip(chunk.index.tolist(), chunk.images, strict=True):
                picture = jpeg(image)
                self._cache.put((video_id, index), picture)
                self._reached = index
                wanted = picture if index == frame else wanted
            if wanted is not None:
                return wanted
            if self._latest != ticket:
                raise OvertakenError
        raise VideoError(f"{video_id}: has no frame {frame} any more.")

    def _begin(self, video_id: str) -> None:
        self._end()
        video = self._videos.get(video_id)
        if video is None:
            raise VideoError(f"{video_id}: not among the videos.")
        path = self._open.enter_context(open_video(video))
        reading = self._reader.read(path, self._sampling, SIDE_PX, resampling=self._resampling)
        self._chunks, self._video_id = with_video_name(video, path, reading), video_id

    def _end(self) -> None:
        """Give up the open video; that it has changed meanwhile no longer matters."""
        with suppress(VideoError):
            self._open.close()
        self._chunks, self._video_id, self._reached = iter(()), "", -1
