"""Demo of the whole method on a rendered data set: the paper's tables in small, and localisation of attention.

Each step calls the same job as the script of its name. A second run resumes an interrupted demo.
"""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attn.commands.predict import predict
from attn.commands.predict_options import EVERY, PredictOptions
from attn.commands.predict_overlays import FOLDER as OVERLAYS
from attn.commands.predict_overlays import map_tracks
from attn.commands.predictions import ranking
from attn.commands.report import report
from attn.commands.report_options import ReportOptions
from attn.commands.reproduction.cell import WEB
from attn.commands.reproduction.lists import percent
from attn.commands.reproduction.reproduce import TABLES, reproduce
from attn.commands.reproduction.reproduce_options import DemoOptions, ReproduceOptions
from attn.errors import UsageError
from attn.eval.localisation import Localisation, box_coverage, localisation
from attn.report.class_track import MOST_CLASSES
from attn.stages.scoring import UnAtt
from attn.storage.location import Location
from attn.storage.store import AttentionStore, VideoRows
from attn.synthetic.boxes import BoxTrack, read_boxes
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader

log = logging.getLogger(__name__)

BACKBONE = "small_cnn"
# One split and two shares of the training videos: minutes instead of hours.
SPLITS, FRACTIONS = (1,), (0.2, 1.0)
PREDICTED = "UCF-101/*/v_*_g01_c01.avi"
"""A test video of each class."""
EXAMPLES = 4
STRIP_FRAMES = 6
FILM = "attention.svg"


@dataclasses.dataclass(frozen=True)
class DemoResult:
    """Results of the demo.

    Attributes:
        tables: file with the tables.
        results: content of the tables, as collected by `reproduce`.
        store: attention store of the CNN trained on Web images.
        localisation: agreement of the true class's maps with the true boxes.
        pictures: overlays of maps on frames.
        film: frames of one video with its attention, and its energies over time.
        overlays: folder of videos with the attention drawn over them.
        page: page of tables, charts and frames.
    """

    tables: Path
    results: dict[str, Any]
    store: Path
    localisation: Localisation
    pictures: list[Path]
    film: Path
    overlays: Path
    page: Path


def demo(options: DemoOptions) -> DemoResult:
    """Run all steps.

    Raises:
        UsageError: a step failed, and its log contains the reason; or `--out` is not a local folder.
    """
    if not Location.at(options.out).is_local:
        raise UsageError(f"--out {options.out}: not a local folder. Give --out a local folder.")
    root = Path(options.out)
    plan = ReproduceOptions(
        dataset="synthetic",
        out=str(root),
        splits=SPLITS,
        fractions=FRACTIONS,
        seeds=(options.seed,),
        image_epochs=options.epochs,
        image_free=False,
        map_source="same_cnn",  # out of fold would double the trainings
        render_images=options.images,
        render_videos=options.videos,
    )
    if code := reproduce(plan):
        raise UsageError(f"the demo stopped: a step ended with exit code {code}. See the logs in {root}/logs.")
    data, seed = root / "data", root / BACKBONE / f"seed{options.seed}"
    store, tuned = seed / WEB / "store", seed / f"split{SPLITS[0]}" / percent(FRACTIONS[-1])
    tracks = {path.stem: read_boxes(path) for path in (data / "boxes").iterdir()}
    return DemoResult(
        tables=root / f"{TABLES}.md",
        results=json.loads((root / f"{TABLES}.json").read_text()),
        store=store,
        localisation=attention_in_boxes(store, tracks),
        pictures=draw_examples(store, tracks, data / "UCF-101", root / "pictures"),
        film=draw_film(tuned / "store", data, root / "pictures"),
        overlays=draw_overlays(root, tuned / "cnn.safetensors"),
        page=write_page(root),
    )


def draw_film(store: Path, data: Path, folder: Path) -> Path:
    """Draw the test video whose attention tells best when its action happens: frames with maps, and energies.

    Videos that UnAtt gets right come first. Among them, the energy of the predicted class differs most between the
    frames with and without the action, relative to its largest value.
    """
    from attn.report.film_strip import film_strip

    opened, unatt, clearest = AttentionStore.open(str(store)), UnAtt(), None
    listed = (data / "ucfTrainTestlist" / f"testlist{SPLITS[0]:02}.txt").read_text().split()
    paths = {Path(line).stem: data / "UCF-101" / line for line in listed}
    for video in opened.videos(unatt.columns):
        if video.video_id not in paths:
            continue
        acting = _acting(video, read_boxes(data / "boxes" / f"{video.video_id}.json"))
        if acting.all() or not acting.any():
            continue
        scores = unatt(video)
        tracks = map_tracks(video, scores, opened.manifest.class_names, ranking(scores)[:MOST_CLASSES], 1)
        energies = tracks.classes[0].energies
        contrast = (energies[acting].mean() - energies[~acting].mean()) / (energies.max() or 1.0)
        rank = (int(scores.argmax()) == video.label, float(contrast))
        if clearest is None or rank > clearest[0]:
            clearest = rank, video, tracks
    if clearest is None:
        raise UsageError(f"{store}: has no test video. Render more with --videos.")
    _, video, tracks = clearest
    rows = np.linspace(0, len(video.frame) - 1, min(STRIP_FRAMES, len(video.frame))).round().astype(int)
    path = folder / FILM
    path.write_text(film_strip(tracks, rows.tolist(), _frames(paths[video.video_id], video.frame[rows])))
    return path


def draw_overlays(root: Path, cnn: Path) -> Path:
    """Predict a test video of each class by UnAtt, draw all of them, and return the folder of the overlays."""
    out = root / "predictions"
    said = PredictOptions(str(root / "data" / PREDICTED), (str(cnn),), str(out), method="unatt", overlays=EVERY)
    if code := predict(said):
        log.warning("the predictions of %s ended with exit code %d", root, code)
    return out / OVERLAYS


def write_page(root: Path) -> Path:
    """Write the page of all results and return its path."""
    page = root / "report.html"
    report(ReportOptions(runs=(str(root),), out=str(page)))
    return page


def attention_in_boxes(store: Path, tracks: Mapping[str, BoxTrack]) -> Localisation:
    """Share of the true class's attention inside the true box, over all frames that show the action."""
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
    """Draw the first video of each of a few classes: maps of its true class over frames of the action."""
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
