"""The whole method on the embedded data set, from nothing: render, train, pack, precompute, evaluate, look.

Every step is the job of that name, called as its script calls it. Run again, it goes on where it stopped.
"""

import contextlib
import dataclasses
import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attn.engine.evaluate import METRICS, evaluate
from attn.engine.options import DemoOptions, EvaluateOptions, PackOptions, PrecomputeOptions, TrainCnnOptions
from attn.engine.pack import pack
from attn.engine.precompute import precompute
from attn.engine.train_cnn import train_cnn
from attn.engine.train_worker import ACCURACY
from attn.errors import UsageError
from attn.eval.localisation import Localisation, box_coverage, localisation
from attn.models.checkpoint import load_checkpoint
from attn.storage.store import AttentionStore, VideoRows
from attn.synthetic.boxes import BoxTrack, read_boxes
from attn.synthetic.render import render_images, render_videos
from attn.video.guard import FrameReader
from attn.video.sample import Stride

log = logging.getLogger(__name__)

INPUT_SIZE = 112
STRIDE = 2
SPLITS = (1, 2, 3)
EXAMPLES = 4
STRIP_FRAMES = 6


@dataclasses.dataclass(frozen=True)
class DemoResult:
    """What the demo measured.

    Attributes:
        store: where the attention store lies.
        metrics: of each split, as `evaluate` writes them.
        accuracy: of the CNN on photographs that it was not trained on.
        localisation: of the true class's maps, against the true boxes.
        pictures: maps laid over frames.
        seconds: of every step.
    """

    store: Path
    metrics: list[dict[str, Any]]
    accuracy: float
    localisation: Localisation
    pictures: list[Path]
    seconds: dict[str, float]


def demo(options: DemoOptions) -> DemoResult:
    """Runs all steps.

    Raises:
        UsageError: a step refused to work; its own message says why.
    """
    root, seconds = Path(options.out), dict[str, float]()
    data, weights, shards, store = root / "data", root / "cnn.safetensors", root / "shards", root / "store"
    lists = data / "ucfTrainTestlist"
    with _timed("render", seconds):
        render_images(data, options.images, options.seed)
        render_videos(data, options.videos, options.seed)
    with _timed("train", seconds):
        _check(train_cnn(_training(options, data, weights)))
    with _timed("pack", seconds):
        _check(pack(PackOptions(str(data / "UCF-101"), str(shards), overwrite=True)))
    with _timed("precompute", seconds):
        _check(precompute(PrecomputeOptions(str(shards), str(store), str(weights), stride=STRIDE)))
    with _timed("evaluate", seconds):
        for split in SPLITS:
            test_list = str(lists / f"testlist{split:02}.txt")
            _check(evaluate(EvaluateOptions(str(store), test_list, str(root / f"split{split}"))))
    tracks = {path.stem: read_boxes(path) for path in (data / "boxes").iterdir()}
    return DemoResult(
        store=store,
        metrics=[json.loads((root / f"split{split}" / METRICS).read_text()) for split in SPLITS],
        accuracy=load_checkpoint(str(weights)).trained[ACCURACY],
        localisation=attention_in_boxes(store, tracks),
        pictures=draw_examples(store, tracks, data / "UCF-101", root / "pictures"),
        seconds=seconds,
    )


def attention_in_boxes(store: Path, tracks: Mapping[str, BoxTrack]) -> Localisation:
    """Share of the true class's attention inside the true box of the action, over all frames with action."""
    maps, coverage = [], []
    for video in AttentionStore.open(str(store)).videos(["maps"]):
        track = tracks[video.video_id]
        acting = _acting(video, track)
        maps.append(video.maps[acting, video.label].astype(np.float32))
        boxes = _boxes(track)[video.frame[acting]]
        shape = (track.height, track.width)
        coverage.append(box_coverage(boxes, source_shape=shape, map_shape=video.maps.shape[-2:]))
    return localisation(np.concatenate(maps), np.concatenate(coverage))


def draw_examples(store: Path, tracks: Mapping[str, BoxTrack], videos: Path, folder: Path) -> list[Path]:
    """Strips of the first video of each of some classes: the maps of its true class over frames of the action."""
    from attn.report.overlay import Strip, save_strip  # matplotlib takes a second to load

    opened = AttentionStore.open(str(store))
    names = opened.manifest.class_names
    pictures: dict[int, Path] = {}
    for video in opened.videos(["maps"]):
        if video.label is None or video.label in pictures or len(pictures) == EXAMPLES:
            continue
        track = tracks[video.video_id]
        rows = np.flatnonzero(_acting(video, track))
        rows = rows[np.linspace(0, len(rows) - 1, STRIP_FRAMES).astype(int)]
        strip = Strip(
            video_id=video.video_id,
            class_name=names[video.label],
            frames=_frames(videos / names[video.label] / f"{video.video_id}.avi", video.frame[rows]),
            maps=video.maps[rows, video.label].astype(np.float32),
            time_s=video.time_s[rows],
            boxes=_boxes(track)[video.frame[rows]],
        )
        pictures[video.label] = save_strip(strip, folder)
    return list(pictures.values())


def _frames(path: Path, indices: np.ndarray) -> np.ndarray:
    with FrameReader() as reader:
        frames = [image.copy() for chunk in reader.read(path, Stride(1), size=None) for image in chunk.images]
    return np.stack([frames[i] for i in indices])


def _acting(video: VideoRows, track: BoxTrack) -> np.ndarray:
    first, stop = track.acting
    return (video.frame >= first) & (video.frame < stop)


def _boxes(track: BoxTrack) -> np.ndarray:
    return np.array(track.boxes, np.float64)


def _training(options: DemoOptions, data: Path, weights: Path) -> TrainCnnOptions:
    return TrainCnnOptions(
        images=str(data / "images"),
        backbone="small_cnn",
        out=str(weights),
        input_size=INPUT_SIZE,
        epochs=options.epochs,
        seed=options.seed,
    )


@contextlib.contextmanager
def _timed(name: str, seconds: dict[str, float]) -> Iterator[None]:
    log.info("-- %s", name)
    started_s = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started_s


def _check(exit_code: int) -> None:
    if exit_code:
        raise UsageError(f"the demo stopped: its last step ended with {exit_code}; its log says why")
