"""Export of a store as a data set of FiftyOne: classes and heat maps of sampled frames.

FiftyOne writes its own format from samples in its database: a temporary data set is filled video by video, exported to
the folder and removed. The videos themselves stay where they are.
"""

import dataclasses
import importlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from attn.commands.store_videos import sampling_of, videos_of
from attn.errors import UsageError, VideoError
from attn.eval.fusion import confident_vote, softmax
from attn.report.heat import over_frame
from attn.storage.error_messages import shown
from attn.storage.location import Location
from attn.storage.store import AttentionStore, VideoRows
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video, open_video
from attn.video.transform import Resampling

log = logging.getLogger(__name__)

CNN, TRUTH = "cnn", "ground_truth"
HEAT = "attention_"
"""Prefix of the fields with heat maps."""


@dataclasses.dataclass(frozen=True)
class Decision:
    """Class that the CNN says, with its probability and the logits of all classes."""

    class_name: str
    confidence: float
    logits: Float[np.ndarray, " cls"]


@dataclasses.dataclass(frozen=True)
class FrameLabels:
    """Labels of one frame.

    Attributes:
        number: number of the frame in the video, from 1.
        cnn: decision of the CNN.
        heat: field → map of the whole frame: of the class that the CNN says for the video, and of the true class.
    """

    number: int
    cnn: Decision
    heat: dict[str, Float[np.ndarray, "height width"]]


@dataclasses.dataclass(frozen=True)
class VideoLabels:
    """Labels of one video.

    Attributes:
        path: path of its file.
        video_id: ID of the video.
        truth: name of its class; None if unknown.
        cnn: majority vote of the CNN, with the mean logits of the frames that voted for it.
        largest: largest attention of all heat maps, the end of their scale.
        frames: labels of the sampled frames.
    """

    path: str
    video_id: str
    truth: str | None
    cnn: Decision
    largest: float
    frames: list[FrameLabels]


def write_dataset(out: str, store: AttentionStore, videos: str | None, chosen: Iterable[VideoRows]) -> None:
    """Write the data set. A video that cannot be read is left out, and named in the log.

    Args:
        out: new local folder.
        store: store with logits and maps.
        videos: URL of its videos; None if they have not moved since precompute.
        chosen: rows of the videos to export.

    Raises:
        UsageError: FiftyOne is missing or has no database, the folder has files, or the videos are not local files.
    """
    fiftyone, folder = _fiftyone(), _new_folder(out)
    known = videos_of(store, videos)
    if any(video.offset is not None or not Location.at(video.url).is_local for video in known.values()):
        raise UsageError("--to fiftyone: FiftyOne reads local video files only. Give their folder as --videos.")
    try:
        dataset = fiftyone.Dataset()
    except fiftyone.core.config.FiftyOneConfigError as error:
        raise UsageError(f"--to fiftyone: {' '.join(str(error).split())}") from error
    try:
        for labels in read_labels(store, known, chosen):
            dataset.add_sample(_sample(fiftyone, labels))
        dataset.export(
            export_dir=str(folder), dataset_type=fiftyone.types.FiftyOneDataset, export_media=False, progress=False
        )
    finally:
        dataset.delete()
    log.info("open it in Python: fiftyone.Dataset.from_dir(%r, fiftyone.types.FiftyOneDataset)", str(folder))


def read_labels(store: AttentionStore, videos: dict[str, Video], chosen: Iterable[VideoRows]) -> Iterator[VideoLabels]:
    """Yield the labels of each video that can be read, one video at a time."""
    names, resampling = store.manifest.class_names, Resampling.parse(store.manifest.preprocessing)
    with FrameReader() as reader:
        for rows in chosen:
            try:
                size = _size(videos.get(rows.video_id), reader, store)
            except VideoError as error:
                log.warning("%s left out: %s", rows.video_id, error)
                continue
            path = Location.at(videos[rows.video_id].url).path
            yield labels_of(rows, names, path, size, resampling)


def labels_of(
    rows: VideoRows, names: tuple[str, ...], path: str, size: tuple[int, int], resampling: Resampling
) -> VideoLabels:
    """Return the labels of a video.

    Args:
        rows: its rows with logits and maps.
        names: names of the classes.
        path: path of its file.
        size: width and height of its frames in pixels.
        resampling: says which part of a frame the maps cover.
    """
    said, confidence = confident_vote(rows.logits)
    fields = {CNN: said} if rows.label is None else {CNN: said, TRUTH: rows.label}
    voters = rows.logits.argmax(axis=1) == said
    probabilities = softmax(rows.logits)
    frames = []
    for row, (number, logits) in enumerate(zip(rows.frame.tolist(), rows.logits, strict=True)):
        best = int(logits.argmax())
        heat = {HEAT + field: over_frame(rows.maps[row, c], size, resampling) for field, c in fields.items()}
        decision = Decision(names[best], float(probabilities[row, best]), logits)
        frames.append(FrameLabels(number + 1, decision, heat))
    return VideoLabels(
        path=path,
        video_id=rows.video_id,
        truth=None if rows.label is None else names[rows.label],
        cnn=Decision(names[said], confidence, rows.logits[voters].mean(axis=0)),
        largest=float(rows.maps[:, list(fields.values())].max()),
        frames=frames,
    )


def _size(video: Video | None, reader: FrameReader, store: AttentionStore) -> tuple[int, int]:
    """Width and height of the first frame, upright and with square pixels."""
    if video is None:
        raise VideoError("not among the videos.")
    with open_video(video) as path:
        for chunk in reader.read(path, sampling_of(store.manifest), size=None):
            height, width = chunk.images.shape[1:3]
            return width, height
    raise VideoError(f"{video.where}: contains no frame.")


def _sample(fiftyone: Any, video: VideoLabels) -> Any:
    sample = fiftyone.Sample(filepath=video.path, video_id=video.video_id)
    sample[CNN] = _classification(fiftyone, video.cnn)
    if video.truth is not None:
        sample[TRUTH] = fiftyone.Classification(label=video.truth)
    for frame in video.frames:
        heat = {name: fiftyone.Heatmap(map=found, range=[0, video.largest or 1]) for name, found in frame.heat.items()}
        sample.frames[frame.number] = fiftyone.Frame(**{CNN: _classification(fiftyone, frame.cnn)}, **heat)
    return sample


def _classification(fiftyone: Any, decision: Decision) -> Any:
    return fiftyone.Classification(
        label=decision.class_name, confidence=decision.confidence, logits=decision.logits.astype(np.float32)
    )


def _new_folder(out: str) -> Path:
    folder = Location.at(out)
    if not folder.is_local:
        raise UsageError(f"--out {shown(out)}: FiftyOne writes to local folders only. Give a local path.")
    path = Path(folder.path)
    if path.exists() and any(path.iterdir()):
        raise UsageError(f"--out {shown(out)}: has files. FiftyOne needs a new folder.")
    return path


def _fiftyone() -> Any:
    """Module fiftyone, imported here because it is an optional dependency."""
    try:
        return importlib.import_module("fiftyone")
    except ImportError as error:
        raise UsageError(f"--to fiftyone: fiftyone is missing ({error}). Run pip install 'attn[fiftyone]'.") from error
