"""The paper's experiments as a plan: every step one job with its options, and what must be done before it.

    <out>/splits/                                        lists of videos
    <out>/frames/                                        frames of all training videos, decoded once
    <out>/<backbone>/seed<k>/web/                        CNN of Web images, its maps, scores of every split
    <out>/<backbone>/seed<k>/<split>/<percent>/          fine-tuned CNN, its maps, EnergyNet, scores
    <out>/<backbone>/seed<k>/<split>/<percent>/fold…/    CNN fine-tuned on all videos but a fold, its maps of the fold
    <out>/<backbone>/seed<k>/<split>/noimage/            the same CNN without Web images

A cell's CNN has seen the videos that its EnergyNet learns from; those of the folds have not seen theirs.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from attn.datasets.benchmark import Benchmark, Split
from attn.engine.evaluate_options import EvaluateOptions
from attn.engine.options import (
    Column,
    FramesOptions,
    PrecomputeOptions,
    ReproduceOptions,
    TrainCnnOptions,
    TrainEnergyNetOptions,
)
from attn.engine.reproduction.lists import (
    chosen_splits,
    list_of_classes,
    list_of_test,
    list_of_train,
    lists_of_fold,
    make_lists,
    percent,
)
from attn.models.imagenet import IMAGENET_INPUT_SIZE
from attn.storage.filesystem import join

WEB, NO_IMAGE, FRAMES = "web", "noimage", "frames"


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of a job.

    Attributes:
        name: path of what it makes, below the output folder.
        job: name of the job, and of its script.
        options: of that job.
        needs: names of the steps before it.
    """

    name: str
    job: str
    options: Any
    needs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Cell:
    """One set of scores: of one CNN on the test videos of one split.

    Attributes:
        backbone: of the CNN.
        seed: of everything in it.
        split: name.
        trained_on: `web`, `noimage`, or the percentage of the training videos, three digits.
        scores: name of the step that makes them.
    """

    backbone: str
    seed: int
    split: str
    trained_on: str
    scores: str


def make_steps(benchmark: Benchmark, options: ReproduceOptions) -> tuple[list[Step], list[Cell]]:
    """All steps, each after those it needs, and the scores that come of them.

    Raises:
        UsageError: the training videos cannot be parted into so many folds.
    """
    make_lists(benchmark, options)
    steps, cells = [_frames(benchmark, options)], list[Cell]()
    for backbone in options.backbones or ():
        for seed in options.seeds:
            builder = _Builder(benchmark, options, backbone, seed)
            for step, cell in builder.all():
                steps.append(step)
                cells += [cell] if cell else []
    return steps, cells


def _frames(benchmark: Benchmark, options: ReproduceOptions) -> Step:
    """Decodes every training video of any split, for all CNNs: they share the size of their input."""
    whole, seed = percent(1.0), options.seeds[0]
    lists = tuple(list_of_train(options, split.name, whole, seed) for split in chosen_splits(benchmark, options))
    frames = FramesOptions(
        videos=benchmark.videos,
        lists=lists,
        out=join(options.out, FRAMES),
        input_size=options.input_size or IMAGENET_INPUT_SIZE,
        stride=options.stride or benchmark.stride,
        max_failed_fraction=options.max_failed_fraction,
    )
    return Step(FRAMES, "decode_frames", frames)


class _Builder:
    """The steps of one backbone and seed."""

    def __init__(self, benchmark: Benchmark, options: ReproduceOptions, backbone: str, seed: int):
        self.benchmark, self.options, self.backbone, self.seed = benchmark, options, backbone, seed
        self.root = f"{backbone}/seed{seed}"
        self.splits = chosen_splits(benchmark, options)

    def all(self) -> Iterator[tuple[Step, Cell | None]]:
        if self.benchmark.images is not None:
            yield from self._web()
        for split in self.splits:
            for fraction in self.options.fractions or ():
                yield from self._finetuned(split, percent(fraction), from_web=self.benchmark.images is not None)
            if self.options.no_image and self.benchmark.images is not None:
                yield from self._finetuned(split, NO_IMAGE, from_web=False)

    def _web(self) -> Iterator[tuple[Step, Cell | None]]:
        options, root = self.options, f"{self.root}/{WEB}"
        yield (
            Step(
                f"{root}/cnn",
                "train_cnn",
                TrainCnnOptions(
                    images=self.benchmark.images,
                    out=self._cnn(root),
                    weights=options.weights,
                    epochs=options.image_epochs,
                    near_duplicates=options.near_duplicates,
                    **self._cnn_settings(),
                ),
            ),
            None,
        )
        tests = tuple(list_of_test(options, split.name) for split in self.splits)
        yield self._maps(root, tests), None
        for split in self.splits:
            name = f"{root}/{split.name}"
            scores = EvaluateOptions(
                store=self._store(root),
                split=list_of_test(options, split.name),
                out=join(options.out, name),
                allow_missing=options.allow_missing,
            )
            cell = Cell(self.backbone, self.seed, split.name, WEB, name)
            yield Step(name, "evaluate", scores, (f"{root}/maps",)), cell

    def _finetuned(self, split: Split, trained_on: str, *, from_web: bool) -> Iterator[tuple[Step, Cell | None]]:
        options, root = self.options, f"{self.root}/{split.name}/{trained_on}"
        share = percent(1.0) if trained_on == NO_IMAGE else trained_on
        train = list_of_train(options, split.name, share, self.seed)
        test = list_of_test(options, split.name)
        yield self._finetuned_cnn(root, train, from_web=from_web), None
        yield self._maps(root, (train, test)), None
        learns = trained_on != NO_IMAGE
        net, name = (f"{root}/{what}{self._source if learns else ''}" for what in ("energynet", "scores"))
        scores = EvaluateOptions(
            store=self._store(root),
            split=test,
            out=join(options.out, name),
            methods=("cnn", "unatt", "energynet", "svm") if learns else ("cnn",),
            energynet=join(options.out, net),
            train_split=train,
            allow_missing=options.allow_missing,
        )
        needs = [f"{root}/maps"]
        if learns:
            folds = list(self._folds(root, train, from_web=from_web))
            yield from ((step, None) for step in folds)
            yield self._energynet(net, root, train, [step for step in folds if step.job == "precompute"]), None
            needs.append(net)
        yield Step(name, "evaluate", scores, tuple(needs)), Cell(self.backbone, self.seed, split.name, trained_on, name)

    def _finetuned_cnn(self, root: str, train: str, *, from_web: bool) -> Step:
        options, web = self.options, f"{self.root}/{WEB}"
        cnn = TrainCnnOptions(
            videos=self.benchmark.videos,
            split=train,
            frames=join(options.out, FRAMES),
            stride=options.stride or self.benchmark.stride,
            allow_missing=options.allow_missing,
            max_failed_fraction=options.max_failed_fraction,
            out=self._cnn(root),
            weights=self._cnn(web) if from_web else options.weights,
            epochs=options.frame_epochs,
            **self._cnn_settings(),
        )
        return Step(f"{root}/cnn", "train_cnn", cnn, (FRAMES, f"{web}/cnn") if from_web else (FRAMES,))

    def _folds(self, root: str, train: str, *, from_web: bool) -> Iterator[Step]:
        """For each fold a CNN that has not seen its videos, and its maps of them."""
        count = self.options.folds if self.options.map_source == "out_of_fold" else 0
        for number in range(1, count + 1):
            fold, (others, left) = f"{root}/fold{number}of{count}", lists_of_fold(train, number, count)
            yield self._finetuned_cnn(fold, others, from_web=from_web)
            yield self._maps(fold, (left,), columns=("maps", "logits"))

    @property
    def _source(self) -> str:
        """End of the names of what depends on the source of the maps: what is there from the other is not lost."""
        return f"-folds{self.options.folds}" if self.options.map_source == "out_of_fold" else ""

    def _maps(
        self, root: str, lists: tuple[str, ...], *, columns: tuple[Column, ...] = ("maps", "logits", "features")
    ) -> Step:
        options = PrecomputeOptions(
            videos=self.benchmark.videos,
            out=self._store(root),
            weights=self._cnn(root),
            lists=lists,
            stride=self.options.stride or self.benchmark.stride,
            columns=columns,
            actors=self.options.actors,
            max_failed_fraction=self.options.max_failed_fraction,
        )
        return Step(f"{root}/maps", "precompute", options, (f"{root}/cnn",))

    def _energynet(self, name: str, root: str, train: str, folds: Sequence[Step]) -> Step:
        config = {**dataclasses.asdict(self.options.energynet), "seed": self.seed}
        options = TrainEnergyNetOptions(
            store=self._store(root),
            out_of_fold=tuple(fold.options.out for fold in folds),
            split=train,
            out=join(self.options.out, name),
            word_vectors=self.options.word_vectors,
            aggregation=self.options.aggregation,
            allow_missing=self.options.allow_missing,
            **config,
        )
        needs = (f"{root}/maps", *(fold.name for fold in folds))
        return Step(name, "train_energynet", options, needs)

    def _cnn_settings(self) -> dict[str, Any]:
        options = self.options
        return {
            "backbone": self.backbone,
            "classes": list_of_classes(options),
            "mean": options.mean,
            "std": options.std,
            "input_size": options.input_size or IMAGENET_INPUT_SIZE,
            "seed": self.seed,
        }

    def _cnn(self, root: str) -> str:
        return join(self.options.out, f"{root}/cnn.safetensors")

    def _store(self, root: str) -> str:
        return join(self.options.out, f"{root}/store")
