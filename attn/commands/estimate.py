"""Estimate of the size of a run from the headers of a few videos. Nothing is written.

Only a few videos are sampled, because opening a remote video downloads the whole file. A confined child process decodes
the first frames and reads the header: this process has credentials, and a video that crashes or hangs FFmpeg counts as
unreadable.
"""

import dataclasses
from collections.abc import Sequence

from attn.engine.filling import StorePlan
from attn.engine.placement import Placement
from attn.errors import VideoError
from attn.schema import row_bytes
from attn.stages.decode_videos import DecodeVideos
from attn.stages.read_flow import ReadFlow
from attn.video.sample import Fps
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video, open_video

SAMPLE_VIDEOS = 8


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Estimated size of a run.

    Attributes:
        videos: number of videos to process.
        done: number of videos that are complete in the store.
        frames: number of frames to process, extrapolated from the headers of `sampled` videos.
        sampled: number of sampled videos.
        unreadable: number of sampled videos that cannot be read.
        store_bytes: size of the rows before compression.
        left_out: number of files that are not recognised as videos; a warning has listed them.
    """

    videos: int
    done: int
    frames: int
    sampled: int
    unreadable: int
    store_bytes: int
    left_out: int
    placement: Placement

    def __str__(self) -> str:
        basis = "" if self.sampled == self.videos else f" (extrapolated from {self.sampled} videos)"
        others = f"; {self.left_out} files left out" if self.left_out else ""
        broken = f", {self.unreadable} of these unreadable" if self.unreadable else ""
        return (
            f"dry run: {self.videos} videos to process, {self.done} done; about {self.frames} frames{basis}{broken}; "
            f"about {self.store_bytes / 1e6:.1f} MB before compression; {self.placement}{others}"
        )


def estimate(plan: StorePlan, placement: Placement, *, overwrite: bool) -> Estimate:
    """Sample up to `SAMPLE_VIDEOS` videos, spread evenly over the list, and extrapolate."""
    done = plan.ledger.completed() if plan.ledger.begun and not overwrite else {}
    left = [video for video in plan.videos if video.video_id not in done]
    sample = _spread(left)
    with FrameReader() as reader:
        counts = [count for video in sample if (count := _kept_frames(video, plan.stage, reader)) is not None]
    broken = len(sample) - len(counts)
    frames = round(sum(counts) / max(len(sample), 1) * len(left))
    return Estimate(
        len(left),
        len(plan.videos) - len(left),
        frames,
        len(sample),
        broken,
        frames * row_bytes(plan.manifest.schema),
        plan.left_out.files,
        placement,
    )


def _spread(videos: Sequence[Video]) -> Sequence[Video]:
    """Evenly spaced sample. Neighbouring videos often come from the same recording and are similar."""
    if len(videos) <= SAMPLE_VIDEOS:
        return videos
    return [videos[(2 * i + 1) * len(videos) // (2 * SAMPLE_VIDEOS)] for i in range(SAMPLE_VIDEOS)]


def _kept_frames(video: Video, stage: DecodeVideos, reader: FrameReader) -> float | None:
    """Number of sampled frames according to the header; None if the video cannot be read."""
    if isinstance(stage, ReadFlow):
        return stage.num_frames[video.video_id]
    try:
        with open_video(video) as path:
            next(reader.read(path, stage.sampling, stage.size, stage.decoder, stage.timeout_s), None)
            header = reader.header(path, stage.timeout_s)
    except VideoError:
        return None
    sampling = stage.sampling
    if isinstance(sampling, Fps):
        return min(header.frames / header.rate * sampling.rate, header.frames)
    return header.frames / sampling.step
