"""Input of precompute runs with faults, and the rows that they must produce."""

import csv
import dataclasses
from pathlib import Path

import av
import numpy as np
import torch

from attn.schema import FRAME, LABEL, N_FRAMES, TIME_S, TRUNCATED

COLUMNS = ("maps", "logits", "features", "grid")
SMALL = (TIME_S, N_FRAMES, LABEL, TRUNCATED)
STRIDE = 1  # gives enough rows for many parts
CLASSES = ("Wave", "Kick", "Hug")
CUT_FROM = 45  # clips with at least as many frames are truncated


@dataclasses.dataclass(frozen=True)
class Material:
    """Videos, a CNN, and the expected rows.

    Attributes:
        videos: path of the folder of videos.
        weights: path of the CNN's checkpoint.
        labels: path of a CSV file with the labels of most videos.
        rows: video → column → values [frame, …]; the label is None if the video has none.
    """

    videos: str
    weights: str
    labels: str
    rows: dict[str, dict[str, np.ndarray]]


def make_material(folder: Path, count: int, seed: int = 0) -> Material:
    """Write clips of 3 to 60 noisy frames and a small CNN with random weights; compute the rows without Ray.

    The longest clips are truncated, and some have no label, so that no small column is constant.
    """
    from attn.commands.precompute_options import PrecomputeOptions
    from attn.commands.precompute_plan import make_plan
    from attn.models.backbone import build_backbone
    from attn.models.checkpoint import Cnn, save_checkpoint
    from attn.stages.attention import ComputeMaps
    from attn.video.sandbox.guard import FrameReader

    videos = folder / "videos"
    videos.mkdir(parents=True)
    random = np.random.default_rng(seed)
    for number in range(count):
        _write_clip(videos / f"clip-{number:04}.avi", int(random.integers(3, 60)), random)
    torch.manual_seed(seed)
    settings = {"input_size": 64, "mean": (0.5,) * 3, "std": (0.25,) * 3, "trained": {}, "weights_sha256": ""}
    cnn = Cnn(build_backbone("small_cnn", 3).eval(), "small_cnn", CLASSES, **settings)
    weights, labels = str(folder / "cnn.safetensors"), str(folder / "labels.csv")
    save_checkpoint(weights, cnn)
    _write_labels(Path(labels), sorted(path.stem for path in videos.iterdir()))
    plan = make_plan(
        PrecomputeOptions(videos=str(videos), out=str(folder / "none"), weights=weights, labels=labels, stride=STRIDE)
    )
    compute = ComputeMaps(plan.cnn, columns=COLUMNS, precision="fp32", device="cpu")
    rows = {}
    with FrameReader() as reader:
        for video in plan.videos:
            batches = [batch for batch in plan.stage([video], reader) if isinstance(batch, dict)]
            columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
            rows[video.video_id] = {**compute(columns["image"]), **_small(columns, video.label)}
    return Material(str(videos), weights, labels, rows)


def relabelled(rows: dict[str, np.ndarray], label: int | None) -> dict[str, np.ndarray]:
    """Return the rows of a video with another label."""
    return {**rows, LABEL: np.full(len(rows[FRAME]), label, object)}


def _small(columns: dict[str, np.ndarray], label: int | None) -> dict[str, np.ndarray]:
    """Expected small columns of a decoded video."""
    count = len(columns[FRAME])
    whole = {N_FRAMES: np.full(count, count), TRUNCATED: np.full(count, columns[TRUNCATED][-1])}
    return relabelled({FRAME: columns[FRAME], TIME_S: columns[TIME_S], **whole}, label)


def _write_labels(path: Path, names: list[str]) -> None:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["video_id", "label"])
        table.writerows((name, CLASSES[place % 4]) for place, name in enumerate(names) if place % 4 < len(CLASSES))


def _write_clip(path: Path, length: int, random: np.random.Generator) -> None:
    base = random.integers(0, 256, (24, 32, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for t in range(length):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(base, 3 * t, axis=1))))
        container.mux(stream.encode())
    if length >= CUT_FROM:
        path.write_bytes(path.read_bytes()[: -path.stat().st_size // 10])
