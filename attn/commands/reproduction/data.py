"""Data set of a reproduction, and the checks of all inputs before the first step."""

import dataclasses
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from attn.commands.adapt_options import AdaptOptions
from attn.commands.reproduction.lists import chosen_splits
from attn.commands.reproduction.reproduce_options import (
    BenchmarkTablesOptions,
    ImageTablesOptions,
    ReproduceOptions,
    TablesOptions,
)
from attn.commands.split_check import present_videos, some
from attn.commands.train_cnn_plan import start_cnn
from attn.concepts.concept_config import ConceptConfig
from attn.concepts.concept_vectors import make_concept_vectors
from attn.datasets import labelled
from attn.datasets.benchmark import Benchmark, BenchmarkName, open_benchmark
from attn.datasets.image_folder import list_images
from attn.engine.step import Step
from attn.errors import UsageError
from attn.models.adapt import check_adaptable
from attn.models.checkpoint import load_weights
from attn.models.weights_file import describe_checkpoint
from attn.stages.align import reader
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.synthetic.actions import ACTIONS
from attn.synthetic.motion_only import MOTIONS
from attn.synthetic.render import render_images, render_lists, render_motion_videos, render_videos
from attn.training.cnn_flags import resolve
from attn.training.cnn_options import TrainCnnOptions
from attn.video.found import paths_of
from attn.video.source import list_videos

log = logging.getLogger(__name__)


def open_data(options: BenchmarkTablesOptions) -> Benchmark:
    """Open the data set; for a synthetic one that is not yet rendered, return the lists that it will have.

    Raises:
        UsageError: files are missing or invalid, a split does not exist, the folder holds another rendering, or the
            classes of `--web-cnn` differ from those of the data set.
    """
    benchmark = _to_be_rendered(options) if is_to_be_rendered(options) else _with_unlabelled(_found(options), options)
    if (web_cnn := _web_cnn(options)) is not None:
        benchmark = dataclasses.replace(benchmark, class_names=_classes_of(web_cnn, benchmark))
    check_splits(options, len(benchmark.splits))
    return benchmark


def check_splits(options: BenchmarkTablesOptions, count: int) -> None:
    """Check the numbers of `--splits`.

    Raises:
        UsageError: a split does not exist.
    """
    for number in options.splits:
        if not 1 <= number <= count:
            raise UsageError(f"--splits {number}: {options.dataset} has no such split. Choose from 1 to {count}.")


def is_to_be_rendered(options: TablesOptions) -> bool:
    """Return whether the synthetic data set is used and not yet complete; its lists are written last."""
    if options.dataset != "synthetic" or options.root is not None:
        return False
    root = Location.at(root_of(options))
    if not root.is_local:
        raise UsageError(
            f"--out {options.out}: the synthetic data set cannot be rendered to S3. Choose a local --out, or give "
            "--root."
        )
    return not Path(root.path, "ucfTrainTestlist", "testlist03.txt").exists()


def render(options: TablesOptions) -> None:
    """Render the synthetic data set, or for papers without Web images, videos whose class is only in the motion."""
    root = Path(Location.at(root_of(options)).path)
    if not isinstance(options, ImageTablesOptions):
        log.info("rendering %d videos", options.render_videos)
        render_motion_videos(root, options.render_videos)
        return
    log.info("rendering %d images and %d videos", options.render_images, options.render_videos)
    render_images(root, options.render_images)
    render_videos(root, options.render_videos)


def check_needs(options: ReproduceOptions, benchmark: Benchmark, steps: Sequence[Step]) -> None:
    """Check all inputs that later steps use.

    Raises:
        UsageError: a CNN's weights do not fit, a class has no word vector or no Web images, or a listed video is
            missing.
    """
    cnns = [resolve(step.options) for step in steps if isinstance(step.options, TrainCnnOptions)]
    made = {step.options.out for step in steps}
    for cnn in {(cnn.backbone, cnn.weights): cnn for cnn in cnns if cnn.weights not in made}.values():
        start_cnn(cnn, benchmark.class_names)
    for step in steps:
        if isinstance(step.options, AdaptOptions) and step.options.weights not in made:
            _check_adaptable(step.options, benchmark.class_names)
    if options.near_duplicates is not None and benchmark.images is None:
        raise UsageError("--near-duplicates: needs Web images. Give --images, or leave out --near-duplicates.")
    concepts = ConceptConfig(word_vectors=options.word_vectors, aggregation=options.aggregation)
    make_concept_vectors(benchmark.class_names, concepts)
    rendered = not is_to_be_rendered(options)
    if benchmark.images is not None and (rendered or options.images is not None):
        list_images(benchmark.images, benchmark.class_names)
    if rendered:
        _check_videos(options, benchmark)


def _check_adaptable(options: AdaptOptions, class_names: Sequence[str]) -> None:
    how = {"mean": options.mean, "std": options.std, "input_size": options.input_size}
    cnn = load_weights(options.weights, options.backbone, class_names, **how, new_classifier=True)
    if options.images is not None:
        reader(cnn.backbone, options.weights)
        return
    try:
        check_adaptable(cnn.backbone, options.weights)
    except UsageError as error:
        raise UsageError(f"{error} Or give --no-adapt.") from error


def _check_videos(options: ReproduceOptions, benchmark: Benchmark) -> None:
    videos = {video.video_id for video in list_videos(benchmark.videos)}
    for split in chosen_splits(benchmark, options):
        present_videos(
            {**split.train, **split.test},
            videos,
            store=benchmark.videos,
            where=split.name,
            allow_missing=options.allow_missing,
            way_out="add them",
        )


def _web_cnn(options: BenchmarkTablesOptions) -> str | None:
    return options.web_cnn if isinstance(options, ReproduceOptions) else None


def _found(options: BenchmarkTablesOptions) -> Benchmark:
    if options.dataset == "labelled":
        web_cnn, in_folds = _web_cnn(options), getattr(options, "map_source", None) == "out_of_fold"
        names = None if web_cnn is None else describe_checkpoint(web_cnn).class_names
        return labelled.benchmark(
            str(options.labels),
            root_of(options),
            _images(options),
            parts=options.parts,
            fewest=3 if in_folds else 2,
            class_names=names,
            present=paths_of(list_videos(root_of(options))),
        )
    benchmark = open_benchmark(_name_of(options), root_of(options), _images(options))
    if options.dataset == "synthetic" and options.root is None:
        split = benchmark.splits[0]
        there = {"render_videos": len(split.train) + len(split.test)}
        if isinstance(options, ImageTablesOptions) and options.images is None:
            there["render_images"] = len(list_images(str(benchmark.images), benchmark.class_names).names)
        for name, count in there.items():
            if count != getattr(options, name):
                raise UsageError(
                    f"--{name.replace('_', '-')} {getattr(options, name)}: {count} were rendered in "
                    f"{root_of(options)}. Choose another --out."
                )
    return benchmark


def _with_unlabelled(benchmark: Benchmark, options: BenchmarkTablesOptions) -> Benchmark:
    """Count the videos in no split if CNNs are adapted to all videos."""
    if getattr(options, "adapt_to", None) != "all":
        return benchmark
    labels = benchmark.labels
    count = sum(video.video_id not in labels for video in list_videos(benchmark.videos))
    return dataclasses.replace(benchmark, unlabelled=count)


def _classes_of(web_cnn: str, benchmark: Benchmark) -> tuple[str, ...]:
    """Classes of the data set, in the order of the CNN's outputs."""
    known = describe_checkpoint(web_cnn).class_names
    if odd := sorted(set(known) ^ set(benchmark.class_names)):
        raise UsageError(
            f"--web-cnn {web_cnn}: its classes differ from those of {benchmark.name}: {some(odd)}. Give a CNN with the "
            "same classes."
        )
    return known


def _to_be_rendered(options: BenchmarkTablesOptions) -> Benchmark:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        name_of_data = _name_of(options)
        render_lists(folder, options.render_videos, ACTIONS if name_of_data == "synthetic" else MOTIONS)
        for part in ("UCF-101", "images"):
            (folder / part).mkdir()
        benchmark = open_benchmark(name_of_data, name, _images(options))
    root, images = root_of(options), _images(options)
    if isinstance(options, ImageTablesOptions):
        images = images or join(root, "images")
    return dataclasses.replace(benchmark, videos=join(root, "UCF-101"), images=images)


def _name_of(options: BenchmarkTablesOptions) -> BenchmarkName:
    """Name of the benchmark: papers without Web images have rendered videos of their own."""
    if options.dataset == "synthetic" and not isinstance(options, ImageTablesOptions):
        return "synthetic_motion"
    return cast("BenchmarkName", options.dataset)


def _images(options: TablesOptions) -> str | None:
    """Web images of `--images`."""
    return options.images if isinstance(options, ImageTablesOptions) else None


def root_of(options: TablesOptions) -> str:
    """URL of the data set."""
    return options.root or join(options.out, "data")
