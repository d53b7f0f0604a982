"""Plan of the paper's experiments: each step is one job with its options and the steps that it needs.

    <out>/splits/                                        split lists
    <out>/frames/                                        frames of all training videos, decoded once
    <out>/<backbone>/seed<k>/web/                        CNN trained on Web images, its maps, scores of every split
    <out>/<backbone>/seed<k>/zeroshot/                   in its place: maps of --web-cnn, if that is from zero_shot
    <out>/<backbone>/seed<k>/<split>/zeroshot/<percent>/ EnergyNet on these maps, few labels; scores
    <out>/<backbone>/seed<k>/<split>/adapted/            this CNN adapted to the training videos without their labels
    <out>/<backbone>/seed<k>/<split>/adapted/<percent>/  EnergyNet on the adapted CNN's maps, few labels; scores
    <out>/<backbone>/seed<k>/<split>/<percent>/          fine-tuned CNN, its maps, EnergyNet, scores
    <out>/<backbone>/seed<k>/<split>/<percent>/fold…/    CNN fine-tuned on all videos but a fold, its maps of the fold
    <out>/<backbone>/seed<k>/<split>/noimage/            CNN fine-tuned without Web images, its maps, scores

The CNN of a split and share was fine-tuned on the videos that its EnergyNet trains on; the CNN of a fold was not
fine-tuned on the fold. Fine-tuning mixes Web images into the frames. `--recipe paper` leaves out adaptation and mixing.
"""

import functools
from collections.abc import Iterator
from typing import Any

from attn.commands.adapt_options import AdaptOptions
from attn.commands.precompute_options import FramesOptions
from attn.commands.reproduction.cell import ADAPTED, NO_IMAGE, WEB, ZERO_SHOT, Cell, Start
from attn.commands.reproduction.lists import (
    check_lists,
    chosen_splits,
    list_of_test,
    list_of_train,
    list_of_unlabelled,
    lists_of_fold,
    make_lists,
    percent,
)
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.commands.reproduction.step_maker import StepMaker
from attn.datasets.benchmark import Benchmark, Split
from attn.engine.step import FRAMES, Step
from attn.errors import UsageError
from attn.models.adapt import has_batchnorm
from attn.models.backbone import network_input
from attn.models.network_input import IMAGENET_INPUT_SIZE
from attn.models.open_clip_networks import is_open_clip
from attn.models.weights_file import describe_checkpoint
from attn.models.zero_shot import RECORD
from attn.storage.filesystem import join
from attn.training.recipe import PAPER
from attn.video.transform import BILINEAR, Resampling


def make_steps(benchmark: Benchmark, options: ReproduceOptions) -> tuple[list[Step], list[Cell]]:
    """Return all steps in an order that satisfies their needs, and the sets of scores that they produce.

    Raises:
        UsageError: there are too few training videos for the number of folds, a name cannot be written to a list, or
            the folder was made with other videos or labels.
    """
    check_lists(benchmark, options)
    steps, cells = [_frames(benchmark, options)], list[Cell]()
    for backbone in options.backbones or ():
        for seed in options.seeds:
            builder = _Builder(benchmark, options, backbone, seed)
            for step, cell in builder.all():
                steps.append(step)
                cells += [cell] if cell else []
    return steps, cells


def _frames(benchmark: Benchmark, options: ReproduceOptions) -> Step:
    """Step that decodes the training videos of all splits, once for all CNNs, which share one input size."""
    whole, seed = percent(1.0), options.seeds[0]
    lists = tuple(list_of_train(options, split.name, whole, seed) for split in chosen_splits(benchmark, options))
    size, resampling = _frames_of(options)
    frames = FramesOptions(
        videos=benchmark.videos,
        lists=lists,
        out=join(options.out, FRAMES),
        input_size=size,
        preprocessing=str(resampling),
        stride=options.stride or benchmark.stride,
        max_failed_fraction=options.max_failed_fraction,
    )
    return Step(FRAMES, "decode_frames", frames)


def _frames_of(options: ReproduceOptions) -> tuple[int, Resampling]:
    """Size and resampling of the frames that all CNNs share.

    Raises:
        UsageError: the CNNs expect different ones.
    """
    own = {name: network_input(name) for name in options.backbones or ()}
    wanted = {(options.input_size or each.size, each.resampling): name for name, each in own.items()}
    if len(wanted) > 1:
        raise UsageError(
            f"--backbones: {' and '.join(wanted.values())} expect frames of different size, crop or interpolation. "
            "Give them one by one, each with its own --out."
        )
    return next(iter(wanted), (options.input_size or IMAGENET_INPUT_SIZE, BILINEAR))


class _Builder(StepMaker):
    """Builds the steps of one backbone and seed."""

    def __init__(self, benchmark: Benchmark, options: ReproduceOptions, backbone: str, seed: int):
        super().__init__(benchmark, options, backbone, seed)
        self.splits = chosen_splits(benchmark, options)
        self.web = ZERO_SHOT if _is_zero_shot(backbone, options.web_cnn) else WEB
        self.from_web = benchmark.images is not None or options.web_cnn is not None
        self.from_weights = self.from_web or options.weights is not None
        self.transductive = options.adapt_to == "all"
        self.aligned = not has_batchnorm(backbone)
        possible = (self.from_weights and not self.aligned) or (self.from_web and benchmark.images is not None)
        self.adapts = options.adapt and options.recipe != PAPER and possible
        self.lists = {url for url, _ in make_lists(benchmark, options)}

    def all(self) -> Iterator[tuple[Step, Cell | None]]:
        if self.from_web:
            yield from self._web()
        if self.adapts and self.transductive:
            yield from ((step, None) for step in self._adapted_to(self._adapted_root(), ()))
        for split in self.splits:
            yield from self._of_split(split)

    def _of_split(self, split: Split) -> Iterator[tuple[Step, Cell | None]]:
        start = self._start(split)
        if self.adapts:
            yield from self._adapted(split)
        for share in map(percent, self.options.fractions or ()):
            yield from self._finetuned(split, share, start)
            if self.adapts and self.from_web:
                yield from self._few_labels(split, share, self._adapted_root(split), ADAPTED)
            if self.web == ZERO_SHOT:
                yield from self._few_labels(split, share, f"{self.root}/{ZERO_SHOT}", ZERO_SHOT)
        if self.options.image_free and self.from_web and self.web == WEB:
            yield from self._finetuned(split, NO_IMAGE, Start(self.options.weights))

    def _start(self, split: Split) -> Start:
        start = self._made(self._adapted_root(split)) if self.adapts else self._before()
        # The paper fine-tunes on frames only.
        mixed = self.from_web and self.options.recipe != PAPER
        return start._replace(mixed=self.benchmark.images) if mixed else start

    def _before(self) -> Start:
        """CNN before any adaptation or fine-tuning."""
        if self.options.web_cnn is not None:
            return Start(self.options.web_cnn)
        return self._made(f"{self.root}/{self.web}") if self.from_web else Start(self.options.weights)

    def _web(self) -> Iterator[tuple[Step, Cell | None]]:
        options, root = self.options, f"{self.root}/{self.web}"
        if options.web_cnn is None:
            yield self._web_training(root), None
        paper = options.recipe == PAPER
        tests = [list_of_test(options, split.name) for split in self.splits]
        with_trains = not paper or self.web == ZERO_SHOT
        trains = list(map(self._whole_train, self.splits)) if with_trains else []
        lists = () if self.transductive else (*tests, *trains)
        yield self._maps(root, lists, cnn=self._before()), None
        for split in self.splits:
            calibrated = {} if paper else self._calibrated(root, split)
            yield self._scores(f"{root}/{split.name}", root, split, self.web, (f"{root}/maps",), **calibrated)

    def _whole_train(self, split: Split) -> str:
        """List of all training videos of a split."""
        return list_of_train(self.options, split.name, percent(1.0), self.seed)

    def _calibrated(self, root: str, split: Split) -> dict[str, Any]:
        """Options that calibrate scores on the videos of `--adapt-to`, without their labels."""
        lists = () if self.transductive else (self._whole_train(split),)
        return {"calibrate": self._store(root), "calibrate_lists": lists}

    def _calibrated_with_labels(self, root: str, split: Split, share: str, train: str) -> dict[str, Any]:
        """Options that calibrate scores on videos without labels; empty if there are too few.

        Args:
            root: folder of the store of maps.
            split: split of the videos.
            share: percentage of its training videos that are labelled.
            train: list of the labelled videos, which are left out.
        """
        if self.transductive:
            enough = self.options.recipe != PAPER and self.benchmark.unlabelled >= len(self.benchmark.class_names)
            return {"calibrate": self._store(root), "train_split": train} if enough else {}
        url = list_of_unlabelled(self.options, split.name, share, self.seed)
        return {"calibrate": self._store(root), "calibrate_lists": (url,)} if url in self.lists else {}

    def _adapted_root(self, split: Split | None = None) -> str:
        """Folder of the adapted CNN and its maps; all splits share it if the CNN is adapted to all videos."""
        own = () if split is None or self.transductive else (split.name,)
        return "/".join((self.root, *own, ADAPTED))

    def _adapted_to(self, root: str, lists: tuple[str, ...], *tests: str) -> Iterator[Step]:
        """Steps that adapt the start CNN, and compute its maps if it has a classifier.

        Args:
            root: folder of the adapted CNN.
            lists: lists of videos to adapt to; empty for all videos.
            *tests: lists of further videos to compute maps of.
        """
        options, before = self.options, self._before()
        adapt = AdaptOptions(
            weights=str(before.weights),
            videos=self.benchmark.videos,
            lists=lists,
            out=self._cnn(root),
            stride=options.stride or self.benchmark.stride,
            seed=self.seed,
            max_failed_fraction=options.max_failed_fraction,
            images=self.benchmark.images if self.aligned else None,
            **({} if self.from_web else {**self._network(), "features_only": True}),
        )
        yield Step(f"{root}/cnn", "adapt_cnn", adapt, before.needs)
        if self.from_web:
            yield self._maps(root, (*lists, *tests))

    def _adapted(self, split: Split) -> Iterator[tuple[Step, Cell | None]]:
        """Steps that adapt the start CNN to a split's training videos, unless it was adapted to all, and score it."""
        root, folder = self._adapted_root(split), f"{self.root}/{split.name}/{ADAPTED}"
        if not self.transductive:
            test = list_of_test(self.options, split.name)
            yield from ((step, None) for step in self._adapted_to(root, (self._whole_train(split),), test))
        if self.from_web:
            needs = (f"{root}/maps",)
            yield self._scores(f"{folder}/scores", root, split, ADAPTED, needs, **self._calibrated(root, split))

    def _few_labels(self, split: Split, share: str, root: str, cnn: str) -> Iterator[tuple[Step, Cell | None]]:
        """Steps that train and score an EnergyNet on maps of a CNN that has seen no video labels.

        Args:
            split: split of the videos.
            share: percentage of its training videos.
            root: folder of the CNN's maps.
            cnn: training data of the CNN.
        """
        folder = f"{self.root}/{split.name}/{cnn}"
        train = list_of_train(self.options, split.name, share, self.seed)
        net = self._energynet(f"{folder}/{share}/energynet", root, train, ())
        yield net, None
        methods = {"methods": ("energynet",), "energynet": net.options.out}
        calibrated = self._calibrated_with_labels(root, split, share, train)
        needs = (f"{root}/maps", net.name)
        yield self._scores(f"{folder}/{share}/scores", root, split, f"{cnn}-{share}", needs, **methods, **calibrated)

    def _finetuned(self, split: Split, trained_on: str, start: Start) -> Iterator[tuple[Step, Cell | None]]:
        options, root = self.options, f"{self.root}/{split.name}/{trained_on}"
        share = percent(1.0) if trained_on == NO_IMAGE else trained_on
        train = list_of_train(options, split.name, share, self.seed)
        yield self._finetuned_cnn(root, train, start), None
        tests = (list_of_test(options, split.name),) if split.test else ()
        calibrated = {} if trained_on == NO_IMAGE else self._calibrated_with_labels(root, split, share, train)
        lists = (train, *tests, *calibrated.get("calibrate_lists", ()))
        yield self._maps(root, () if calibrated and self.transductive else lists), None
        if trained_on == NO_IMAGE:
            yield self._scores(f"{root}/scores", root, split, trained_on, (f"{root}/maps",), methods=("cnn",))
            return
        folds = list(self._folds(root, train, start))
        yield from ((step, None) for step in folds)
        maps = [step for step in folds if step.job == "precompute"]
        net = self._energynet(f"{root}/energynet{self._source}", root, train, maps)
        yield net, None
        methods = {"methods": ("cnn", "unatt", "energynet", "svm"), "energynet": net.options.out, "train_split": train}
        needs = (f"{root}/maps", net.name)
        settings = {**calibrated, **methods}
        yield self._scores(f"{root}/scores{self._source}", root, split, trained_on, needs, **settings)

    def _folds(self, root: str, train: str, start: Start) -> Iterator[Step]:
        """Steps that, for each fold, fine-tune a CNN on the other folds and compute its maps of the fold."""
        count = self.options.folds if self.options.map_source == "out_of_fold" else 0
        for number in range(1, count + 1):
            fold, (others, left) = f"{root}/fold{number}of{count}", lists_of_fold(train, number, count)
            yield self._finetuned_cnn(fold, others, start)
            yield self._maps(fold, (left,), columns=("maps", "logits"))


@functools.cache
def _is_zero_shot(backbone: str, web_cnn: str | None) -> bool:
    """Return whether the CNN of `--web-cnn` is a zero-shot classifier that was not trained further."""
    return web_cnn is not None and is_open_clip(backbone) and RECORD in describe_checkpoint(web_cnn).trained
