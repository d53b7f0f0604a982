#!/usr/bin/env python3
"""Experiment: does a student learn where a flow network looks, on videos whose class no single frame tells?

It renders videos of `attn.synthetic.motion_only` and trains, for each seed, a network of single frames, a flow teacher,
and three students: without a teacher, with it, and with the teacher's map of another video. It prints the accuracy of
each on the test videos, and the share of its motion map inside the box of the actor relative to a uniform map.

It needs the extra flow: `python bench/experiments/motion_only.py --folder motion/`. The folder is kept, so that an
interrupted run resumes.
"""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from attn.commands.decode_frames import decode_listed
from attn.commands.decode_frames_options import DecodeFramesOptions
from attn.commands.precompute_flow import precompute_flow
from attn.commands.precompute_flow_options import PrecomputeFlowOptions
from attn.commands.train_clip_cnn import train_clip_cnn
from attn.datasets.boxes import BoxFolder
from attn.eval.localisation import attention_share, box_coverage
from attn.eval.significance import bootstrap_draws, percentile_interval
from attn.models.clip_file import TrainedClipCnn, load_clip_cnn
from attn.schema import FLOW
from attn.stages.clip_scoring import score_clips
from attn.stages.clips import ClipSampling, scored_clips
from attn.stages.flow.compute import ComputeFlow, open_flow_model
from attn.storage.store import FlowStore, FrameStore
from attn.synthetic import MOTIONS, render_motion_videos
from attn.training.clip_data import ClipData, Place
from attn.training.clip_job import ClipSource
from attn.training.clip_options import TrainClipCnnOptions
from attn.training.video_table import VideoTable
from attn.video.transform import BILINEAR

ARMS = ("frames", "teacher", "untaught", "taught", "shuffled")


class Result(NamedTuple):
    """Result of a network on the test videos.

    Attributes:
        right: whether each video was classified correctly.
        ratio: share of the motion map inside the box of the actor, relative to a uniform map, for each video; empty
            without a map.
    """

    right: np.ndarray
    ratio: np.ndarray


def main() -> None:
    flags = parse()
    root = Path(flags.folder)
    prepare(root, flags)
    test = read_test(root)
    print(f"torch {torch.__version__}, {flags.videos} videos, {len(test.table.video_ids)} of them for test")
    print("seed | network | accuracy | motion map inside the box, times chance")
    results: dict[str, list[Result]] = {arm: [] for arm in (*ARMS, "teacher, shuffled time")}
    for seed in flags.seeds:
        for arm in ARMS:
            trained = load_clip_cnn(fitted(root, arm, seed, flags))
            results[arm].append(tested(trained, test, root))
            if arm == "teacher":
                results["teacher, shuffled time"].append(tested(trained, shuffled_in_time(test, flags), root))
        for name, found in results.items():
            ratio = f"{found[-1].ratio.mean():.2f}" if len(found[-1].ratio) else "-"
            print(f"{seed} | {name} | {found[-1].right.mean():.3f} | {ratio}", flush=True)
    print("\nnetwork | accuracy, 95 % interval over videos | times chance")
    for name, found in results.items():
        right, ratio = (np.stack([getattr(one, field) for one in found]) for field in ("right", "ratio"))
        print(f"{name} | {shown(right)} | {shown(ratio) if ratio.size else '-'}")
    for name in ("taught", "shuffled"):
        pairs = zip(results[name], results["untaught"], strict=True)
        gain = np.stack([first.right.astype(float) - second.right for first, second in pairs])
        print(f"{name} - untaught | {shown(gain)}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, help="folder for videos, stores and networks")
    parser.add_argument("--videos", type=int, default=300, help="number of videos of all classes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="random seeds of the trainings")
    parser.add_argument("--epochs", type=int, default=50, help="number of epochs of each training")
    parser.add_argument("--lr", type=float, default=0.01, help="learning rate for 16 clips")
    parser.add_argument("--batch", type=int, default=8, help="number of clips in an update")
    parser.add_argument("--size", type=int, default=64, help="side of the frames, in pixels")
    parser.add_argument("--crop", type=int, default=56, help="side of a clip, in pixels")
    parser.add_argument("--bound", type=float, default=4.0, help="largest flow, in pixels")
    parser.add_argument("--distillation-weight", type=float, default=1.0, help="weight of the teacher's map")
    parser.add_argument("--prior-weight", type=float, default=0.1, help="weight of the uniform prior")
    return parser.parse_args()


def prepare(root: Path, flags: argparse.Namespace) -> None:
    """Render the videos and fill the stores, unless that is done."""
    lists = tuple(str(root / "ucfTrainTestlist" / f"{part}list01.txt") for part in ("train", "test"))
    videos = str(root / "UCF-101")
    if not (root / "ucfTrainTestlist").exists():
        render_motion_videos(root, flags.videos, workers=1)
    frames = DecodeFramesOptions(videos=videos, lists=lists, out=str(root / "frames"), input_size=flags.size)
    flow = PrecomputeFlowOptions(videos=videos, out=str(root / "flow"), input_size=flags.size, bound=flags.bound)
    for code in (decode_listed(frames), precompute_flow(flow)):
        if code:
            raise SystemExit(code)


def fitted(root: Path, arm: str, seed: int, flags: argparse.Namespace) -> str:
    """File of a trained network; a finished training is not repeated."""
    teacher = str(root / f"teacher{seed}.safetensors")
    taught = {"teacher": teacher, "flow": str(root / "flow")}
    settings: dict[str, dict[str, Any]] = {
        "frames": {"length": 1, "attention": "none", "epochs": max(flags.epochs // 4, 1)},
        "teacher": {"modality": "flow", "flow": str(root / "flow")},
        "untaught": {},
        "taught": taught,
        "shuffled": {**taught, "shuffle_teacher": True},
    }
    common = {
        "modality": "rgb",
        "split": str(root / "ucfTrainTestlist" / "trainlist01.txt"),
        "classes": str(root / "ucfTrainTestlist" / "classInd.txt"),
        "out": str(root / f"{arm}{seed}.safetensors"),
        "backbone": "small_clip_cnn",
        "length": 16,
        "step": 2,
        "crop": flags.crop,
        "batch": flags.batch,
        "epochs": flags.epochs,
        "lr": flags.lr,
        "dropout": 0.0,
        "weight_decay": 1e-3,
        "distillation_weight": flags.distillation_weight,
        "prior_weight": flags.prior_weight,
        # The twin of a held-out video would be in the training set under the other class, so that validation would
        # favour networks that have learnt no motion.
        "holdout_fraction": 0.0,
        "seed": seed,
        "allow_untrained": True,
        **({} if arm == "teacher" else {"frames": str(root / "frames")}),
    }
    options = TrainClipCnnOptions(**{**common, **settings[arm]})
    if code := train_clip_cnn(options):
        raise SystemExit(code)
    return options.out


def read_test(root: Path) -> ClipData:
    """Frames and flow of the test videos."""
    names = [Path(line).stem for line in (root / "ucfTrainTestlist" / "testlist01.txt").read_text().split()]
    labels = {name: MOTIONS.index(name.split("_")[1]) for name in names}
    stores = FrameStore.open(str(root / "frames")), FlowStore.open(str(root / "flow"))
    parts = [store.parts_with(set(names)) for store in stores]
    frames, flow = ClipSource("image", stores[0].url, parts[0]), ClipSource("flow", stores[1].url, parts[1])
    counts = {video: rows for part in parts[0] for video, rows in part.rows.items()}
    table = VideoTable.of(labels, counts)
    rows = np.array([frames.first_row[video] for video in table.video_ids])
    images, motion = (one.cached(root / "cache", threads=1, tell=lambda done: None) for one in (frames, flow))
    return ClipData(images, motion, rows, table, ClipSampling(16, 2))


def shuffled_in_time(data: ClipData, flags: argparse.Namespace) -> ClipData:
    """Test videos whose frames are in random order, with the flow of that order."""
    if data.frames is None or data.flow is None:
        raise ValueError("frames or flow are missing")
    flow, random = data.flow.copy(), np.random.default_rng(0)
    compute = ComputeFlow(open_flow_model("dis", None, size=flags.size), bound_px=flags.bound)
    for first, count in zip(data.first_row, data.table.num_frames, strict=True):
        images = data.frames[first : first + count][random.permutation(count)]
        pairs = np.stack([images[:-1], images[1:]], 1)
        found = compute(pairs)[FLOW]
        flow[first : first + count] = np.concatenate([found, found[-1:]])
    return dataclasses.replace(data, flow=flow)


def tested(trained: TrainedClipCnn, data: ClipData, root: Path) -> Result:
    """Accuracy of the mean probabilities of three clips of each video, and place of their motion maps."""
    data = dataclasses.replace(data, sampling=ClipSampling(trained.input.length, trained.input.step))
    counts, taken = data.table.num_frames.tolist(), trained.input
    found = scored_clips(counts, data.sampling, clips=3, crops=1, size=taken.size, side=taken.crop)
    places = [Place(clip.video, clip.start, clip.view) for clip in found]
    cut = data.clips_of_flow if trained.modality == "flow" else data.clips_of_frames

    def batches() -> Iterator[Tensor]:
        for start in range(0, len(places), 32):
            yield cut(places[start : start + 32])

    scored = list(score_clips(trained.net, taken, batches()))
    logits, attention = torch.cat([one.logits for one in scored]), torch.cat([one.attention for one in scored])
    sums = torch.zeros(len(counts), logits.shape[1])
    sums.index_add_(0, torch.tensor([place.video for place in places]), torch.softmax(logits, 1))
    right = (sums.argmax(1).numpy() == data.table.labels).astype(float)
    ratios: dict[int, list[float]] = {}
    if attention.shape[1]:
        boxes = BoxFolder(str(root / "boxes"))
        for place, maps in zip(places, attention[:, 0].numpy(), strict=True):
            ratios.setdefault(place.video, []).append(box_ratio(maps, place, trained, data, boxes))
    return Result(right, np.array([np.mean(ratios[video]) for video in sorted(ratios)]))


def box_ratio(maps: np.ndarray, place: Place, trained: TrainedClipCnn, data: ClipData, boxes: BoxFolder) -> float:
    """Share of a map inside the box of the actor, relative to a uniform map."""
    track = boxes.read(data.table.video_ids[place.video])
    if track is None:
        raise ValueError("boxes are missing")
    frames, _ = data.sampling.frames(int(data.table.num_frames[place.video]), place.start)
    middle = frames.reshape(len(maps), -1)[:, frames.size // len(maps) // 2]
    height, width = track.shape
    left, top, right, _ = BILINEAR.box(width, height)
    scale = (right - left) / trained.input.size
    left, top = left + scale * place.view.left, top + scale * place.view.top
    side = scale * place.view.side
    where = {"source_shape": track.shape, "map_shape": maps.shape[1:], "seen": (left, top, left + side, top + side)}
    coverage = np.concatenate([box_coverage(track.boxes[int(frame)], **where) for frame in middle])
    return float(np.mean(attention_share(maps, coverage)) / coverage.mean())


def shown(values: np.ndarray) -> str:
    """Mean over seeds and videos with its bootstrap interval over videos, whose seeds stay together."""
    draws = bootstrap_draws(lambda videos: values[:, videos].mean(), values.shape[1])
    low, high = percentile_interval(draws)
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
