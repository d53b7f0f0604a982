"""Overlays of a run of predict: videos with the heat maps of the predicted classes, to look at.

The maps are those that the prediction was made from, so the CNN runs once; the videos are decoded a second time, at
full size, in a decoder process as always. Drawing and encoding happen here.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from attn.classes import ClassFinder
from attn.commands.predict_options import EVERY, RUNNER_UP, HowMany, PredictOptions
from attn.commands.predictions import ranking
from attn.durations import clock
from attn.engine.progress import HEARTBEAT_S
from attn.errors import UsageError, VideoError, some
from attn.report.class_track import MOST_CLASSES, ClassTrack, VideoTracks
from attn.schema import GRID, MAPS
from attn.stages.decode_videos import with_video_name
from attn.stages.scoring import UnAtt, window_energies
from attn.stages.soft_attention_scoring import SoftAttentionScore
from attn.storage.filesystem import atomic_path, join, open_filesystem, write_atomic
from attn.storage.store import VideoRows
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video, open_video
from attn.video.transform import BILINEAR, Resampling

log = logging.getLogger(__name__)

FOLDER = "overlays"


class Overlays:
    """Drawing of the chosen videos, one at a time, as their predictions arrive.

    Args:
        options: flags of the run.
        videos: all videos of the run.
        class_names: names of the classes.
        resampling: that of the CNN, which says which part of the frames its maps cover.
        model: model whose attention weights are drawn in place of maps of the classes.

    Attributes:
        failed: whether the output could not be written; then no further video is drawn.

    Raises:
        UsageError: the flags are inconsistent; nothing was written.
    """

    def __init__(
        self,
        options: PredictOptions,
        videos: Sequence[Video],
        class_names: Sequence[str],
        resampling: Resampling = BILINEAR,
        model: SoftAttentionScore | None = None,
    ):
        self._names, self._second = class_names, second_class(options.overlay_class, class_names)
        self._resampling, self._model = resampling, model
        if model is not None and options.overlay_class is not None:
            raise UsageError(
                f"--overlay-class {options.overlay_class}: the attention of {model.name} does not depend on the class. "
                "Leave it out."
            )
        self._left = {video.video_id: video for video in spread(videos, options.overlays)}
        self._url, self._total, self._drawn = join(options.out, FOLDER), len(self._left), 0
        self._reader = FrameReader()
        self._spent_s, self._due_s = 0.0, time.monotonic() + HEARTBEAT_S
        self.failed = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the store that are needed besides those of the method."""
        return (MAPS,) if self._total and self._model is None else ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def draw(self, rows: VideoRows, scores: np.ndarray) -> None:
        """Draw a video if it is one of the chosen. A video that cannot be decoded again is named in the log.

        Args:
            rows: rows with maps.
            scores: scores of the classes.
        """
        video = self._left.pop(rows.video_id, None)
        if video is None or self.failed:
            return
        begun_s = time.monotonic()
        try:
            self._write(video, self._tracks(rows, scores))
            self._drawn += 1
        except VideoError as error:
            log.warning("overlay of %s not drawn: %s", rows.video_id, error)
        except UsageError as error:
            log.error("no further overlays are drawn: %s", error)
            self.failed = True
        self._spent_s += time.monotonic() - begun_s

    def tell(self) -> None:
        """Log the number of overlays."""
        if self._total:
            log.info("%d of %d overlays drawn in %s", self._drawn, self._total, self._url)

    def _write(self, video: Video, tracks: VideoTracks) -> None:
        from attn.report.figure_names import file_name  # matplotlib and PyAV take a second to load
        from attn.report.overlay_video import write_overlay

        mp4, png = (join(self._url, file_name(video.video_id, suffix=suffix)) for suffix in ("mp4", "png"))
        with atomic_path(*open_filesystem(mp4)) as hidden, open_video(video) as path:
            sheet = write_overlay(hidden, tracks, self._frames(video, path, tracks))
        write_atomic(*open_filesystem(png), sheet)

    def _frames(self, video: Video, path: Path, tracks: VideoTracks) -> Iterator[tuple[int, float, np.ndarray]]:
        """All frames of a video at full size; the log says how far the run is."""
        for chunk in with_video_name(video, path, self._reader.read(path, Stride(1), size=None)):
            for index, time_s, rgb in zip(chunk.index.tolist(), chunk.time_s.tolist(), chunk.images, strict=True):
                self._report(tracks.video_id, index / (int(tracks.frame[-1]) + 1))
                yield index, time_s, rgb

    def _report(self, video_id: str, share: float) -> None:
        if (now := time.monotonic()) < self._due_s:
            return
        self._due_s = now + HEARTBEAT_S
        before = self._total - len(self._left) - 1
        eta = clock(self._spent_s / before * (self._total - before)) if before else "unknown"
        log.info("overlays: %d of %d, ETA %s; %s: %.0f %%", before, self._total, eta, video_id, 100 * min(share, 1))

    def _tracks(self, rows: VideoRows, scores: np.ndarray) -> VideoTracks:
        """Classes of the time line: the predicted one, the second one that is drawn, then those with large scores."""
        ranked = ranking(scores)
        drawn = list(dict.fromkeys([ranked[0], *self._second(ranked)]))
        listed = list(dict.fromkeys([*drawn, *ranked]))[:MOST_CLASSES]
        if self._model is not None:
            return self._attention(self._model, rows, scores, listed)
        maps = rows.maps[:, listed]
        energies = window_energies(maps, min(UnAtt.window, *maps.shape[-2:])).numpy()
        classes = tuple(
            ClassTrack(self._names[c], float(scores[c]), energies[:, i], maps[:, i] if c in drawn else None)
            for i, c in enumerate(listed)
        )
        return VideoTracks(rows.video_id, rows.frame, rows.time_s, classes, self._resampling)

    def _attention(
        self, model: SoftAttentionScore, rows: VideoRows, scores: np.ndarray, listed: Sequence[int]
    ) -> VideoTracks:
        """Probabilities of the classes over time; the attention does not depend on the class and is drawn once."""
        scored = model.scored(rows)
        probabilities, maps = scored.probabilities(), scored.weights(rows.tensors[GRID].shape[2:])
        seen = np.isfinite(probabilities[:, 0])  # frames in no window have neither weights nor probabilities
        classes = tuple(
            ClassTrack(self._names[c], float(scores[c]), probabilities[seen, c], None if i else maps[seen])
            for i, c in enumerate(listed)
        )
        return VideoTracks(
            rows.video_id, rows.frame[seen], rows.time_s[seen], classes, self._resampling, "probability of the class"
        )


def check_flags(options: PredictOptions) -> None:
    """Check the flags of overlays, before any work.

    Raises:
        UsageError: a flag is invalid or needs another one.
    """
    if options.overlays != EVERY and options.overlays < 0:
        raise UsageError(f"--overlays {options.overlays}: must be 0 or more; without a number, all videos are drawn.")
    if options.overlay_class is not None and not options.overlays:
        raise UsageError(f"--overlay-class {options.overlay_class}: needs --overlays. Add it.")


def spread(videos: Sequence[Video], how_many: HowMany) -> list[Video]:
    """Number of videos spread evenly over the list, so that they show different folders and classes."""
    if how_many == EVERY or how_many >= len(videos):
        return list(videos)
    return [videos[i] for i in np.linspace(0, len(videos) - 1, how_many).round().astype(int)]


def second_class(name: str | None, class_names: Sequence[str]) -> Callable[[list[int]], list[int]]:
    """Function from the classes of a video, best first, to the second class to draw: one or none.

    Args:
        name: value of `--overlay-class`; a class called runner-up goes before the word.
        class_names: names of the model's classes.

    Raises:
        UsageError: the model has no such class.
    """
    if name is None:
        return lambda ranked: []
    if (found := ClassFinder(class_names)(name)) is not None:
        return lambda ranked: [found]
    if name == RUNNER_UP:
        return lambda ranked: ranked[1:2]
    raise UsageError(
        f"--overlay-class {name}: not a class of the model. Give {RUNNER_UP} or one of {some(class_names)}."
    )
