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
from attn.commands.clip_maps import check_mapped, clip_tracks
from attn.commands.predict_options import EVERY, RUNNER_UP, HowMany, PredictOptions
from attn.commands.predictions import ranking
from attn.durations import clock
from attn.engine.progress import HEARTBEAT_S
from attn.errors import UsageError, VideoError, some
from attn.report.class_track import MOST_CLASSES, ClassTrack, VideoTracks
from attn.schema import ATTENTION, GRID, MAPS, OF_CLASSES
from attn.stages.decode_videos import with_video_name
from attn.stages.frame_values import frame_values, value_name
from attn.stages.scoring import Scorer, UnAtt, window_energies
from attn.stages.soft_attention_scoring import attending
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.manifest import ClipManifest
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
        scorer: method of the run. If it does not score maps of the CNN's classes, the attention weights of its frames
            are drawn, or no heat map if it has none.
        clips: manifest of the clips, whose first attention map is drawn; None if frames are scored.

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
        scorer: Scorer | None = None,
        clips: ClipManifest | None = None,
    ):
        self._names, self._second = class_names, second_class(options.overlay_class, class_names)
        self._resampling, self._clips = resampling, clips
        self._scorer = None if scorer is None or OF_CLASSES.intersection(scorer.columns) else scorer
        if options.overlay_class is not None and (clips or self._scorer):
            name = "a network of clips" if clips else self._scorer and self._scorer.name
            raise UsageError(f"--overlay-class {options.overlay_class}: {name} has no maps of classes. Leave it out.")
        if clips is not None and options.overlays:
            check_mapped(clips, "--overlays")
        self._left = {video.video_id: video for video in spread(videos, options.overlays)}
        self._url, self._total, self._drawn = join(options.out, FOLDER), len(self._left), 0
        self._reader = FrameReader()
        self._spent_s, self._due_s = 0.0, time.monotonic() + HEARTBEAT_S
        self.failed = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the store that are needed besides those of the method."""
        if self._clips is not None:
            return (ATTENTION,) if self._total else ()
        return (MAPS,) if self._total and self._scorer is None else ()

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
            self._write(video, rows, scores)
            self._drawn += 1
        except VideoError as error:
            log.warning("overlay of %s not drawn: %s", rows.video_id, error)
        except UsageError as error:
            log.error("%s; no further overlays are drawn", error)
            self.failed = True
        self._spent_s += time.monotonic() - begun_s

    def tell(self) -> None:
        """Log the number of overlays."""
        if self._total:
            log.info("%d of %d overlays drawn in %s", self._drawn, self._total, self._url)

    def _write(self, video: Video, rows: VideoRows, scores: np.ndarray) -> None:
        from attn.report.figure_names import file_name  # matplotlib and PyAV take a second to load
        from attn.report.overlay_video import write_overlay

        mp4, png = (join(self._url, file_name(video.video_id, suffix=suffix)) for suffix in ("mp4", "png"))
        with Location.at(mp4).atomic_path() as hidden, open_video(video) as path:
            tracks = self._tracks(rows, scores, path)
            sheet = write_overlay(hidden, tracks, self._frames(video, path, tracks))
        Location.at(png).write_atomic(sheet)

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

    def _tracks(self, rows: VideoRows, scores: np.ndarray, path: Path) -> VideoTracks:
        """Classes of the time line: the predicted one, the second one that is drawn, then those with large scores."""
        ranked = ranking(scores)
        drawn = list(dict.fromkeys([ranked[0], *self._second(ranked)]))
        listed = list(dict.fromkeys([*drawn, *ranked]))[:MOST_CLASSES]
        if self._clips is not None:
            named = [(self._names[c], float(scores[c]), c) for c in listed]
            return clip_tracks(rows, self._clips, named, self._resampling, self._reader.header(path).rate)
        if self._scorer is not None:
            return self._values(self._scorer, rows, scores, listed)
        return map_tracks(rows, scores, self._names, listed, len(drawn), self._resampling)

    def _values(self, scorer: Scorer, rows: VideoRows, scores: np.ndarray, listed: Sequence[int]) -> VideoTracks:
        """Values of the classes over time. Attention weights do not depend on the class and are drawn once."""
        values, model = frame_values(scorer, rows), attending(scorer)
        if values is None:
            raise TypeError(f"{scorer.name} has no values of frames")
        seen = np.isfinite(values[:, 0])  # frames in no window have neither weights nor probabilities
        maps = None if model is None else model.scored(rows).weights(rows.tensors[GRID].shape[2:])[seen]
        classes = tuple(
            ClassTrack(self._names[c], float(scores[c]), values[seen, c], None if i else maps)
            for i, c in enumerate(listed)
        )
        frames, times = rows.frame[seen], rows.time_s[seen]
        return VideoTracks(rows.video_id, frames, times, classes, self._resampling, value_name(scorer))


def map_tracks(
    rows: VideoRows,
    scores: np.ndarray,
    class_names: Sequence[str],
    listed: Sequence[int],
    num_drawn: int,
    resampling: Resampling = BILINEAR,
) -> VideoTracks:
    """Return the window energies of some classes over time, and the maps of the first of them.

    Args:
        rows: rows with maps.
        scores: scores of all classes.
        class_names: names of all classes.
        listed: IDs of the classes, those with maps first.
        num_drawn: number of classes with maps.
        resampling: that of the CNN.
    """
    maps = rows.maps[:, listed]
    energies = window_energies(maps, min(UnAtt.window, *maps.shape[-2:])).numpy()
    classes = tuple(
        ClassTrack(class_names[c], float(scores[c]), energies[:, i], maps[:, i] if i < num_drawn else None)
        for i, c in enumerate(listed)
    )
    return VideoTracks(rows.video_id, rows.frame, rows.time_s, classes, resampling)


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
