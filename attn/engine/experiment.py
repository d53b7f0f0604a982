"""The paper's experiments as a plan: every step one job with its options, and what must be done before it.

    <out>/splits/<split>-test.txt, <split>-train-<percent>-seed<k>.txt
    <out>/frames/                                        frames of all training videos, decoded once
    <out>/<backbone>/seed<k>/web/                        CNN of Web images, its maps, scores of every split
    <out>/<backbone>/seed<k>/<split>/<percent>/          fine-tuned CNN, its maps, EnergyNet, scores
    <out>/<backbone>/seed<k>/<split>/noimage/            the same CNN without Web images

Fractions become lists of their own, so what was trained on can be read, and no later step has to choose again.
"""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

from attn.datasets.benchmark import Benchmark, Split
from attn.datasets.fractions import take_fraction
from attn.datasets.split import write_split_list
from attn.engine.options import (
    EvaluateOptions,
    FramesOptions,
    PrecomputeOptions,
    ReproduceOptions,
    TrainCnnOptions,
    TrainEnergyNetOptions,
)
from attn.models.imagenet import IMAGENET_INPUT_SIZE
from attn.storage.filesystem import join, open_filesystem, write_atomic

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


def percent(fraction: float) -> str:
    """Name of a fraction, three digits, so that folders sort by it: 020."""
    return f"{round(100 * fraction):03d}"


def write_lists(benchmark: Benchmark, options: ReproduceOptions) -> None:
    """Writes the class list, and the lists of all splits, fractions and seeds.

    Every split draws a share of its own, so that splits whose lists overlap do not all rest on the same videos.
    """
    fs, path = open_filesystem(_classes(options))
    write_atomic(fs, path, "".join(f"{name}\n" for name in benchmark.class_names).encode())
    for split in chosen_splits(benchmark, options):
        write_split_list(_list(options, split.name, "test"), split.test, benchmark.class_names)
        for seed in options.seeds:
            for fraction in {*(options.fractions or ()), 1.0}:
                own = int(hashlib.sha256(f"{seed}/{split.name}".encode()).hexdigest()[:8], 16)
                share = take_fraction(split.train, fraction, seed=own)
                url = _list(options, split.name, f"train-{percent(fraction)}-seed{seed}")
                write_split_list(url, share, benchmark.class_names)


def chosen_splits(benchmark: Benchmark, options: ReproduceOptions) -> tuple[Split, ...]:
    """The splits asked for; all by default."""
    numbers = options.splits or tuple(range(1, len(benchmark.splits) + 1))
    return tuple(benchmark.splits[number - 1] for number in numbers)


def make_steps(benchmark: Benchmark, options: ReproduceOptions) -> tuple[list[Step], list[Cell]]:
    """All steps, each after those it needs, and the scores that come of them."""
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
    lists = tuple(
        _list(options, split.name, f"train-{percent(1.0)}-seed{options.seeds[0]}")
        for split in chosen_splits(benchmark, options)
    )
    frames = FramesOptions(
        videos=benchmark.videos,
        lists=lists,
        out=join(options.out, FRAMES),
        input_size=options.input_size or IMAGENET_INPUT_SIZE,
        stride=options.stride or benchmark.stride,
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
                    **self._cnn_settings(),
                ),
            ),
            None,
        )
        tests = tuple(_list(options, split.name, "test") for split in self.splits)
        yield self._maps(root, tests, needs=(f"{root}/cnn",)), None
        for split in self.splits:
            name = f"{root}/{split.name}"
            scores = EvaluateOptions(
                store=self._store(root),
                split=_list(options, split.name, "test"),
                out=join(options.out, name),
                allow_missing=options.allow_missing,
            )
            cell = Cell(self.backbone, self.seed, split.name, WEB, name)
            yield Step(name, "evaluate", scores, (f"{root}/maps",)), cell

    def _finetuned(self, split: Split, trained_on: str, *, from_web: bool) -> Iterator[tuple[Step, Cell | None]]:
        options, root = self.options, f"{self.root}/{split.name}/{trained_on}"
        share = percent(1.0) if trained_on == NO_IMAGE else trained_on
        train = _list(options, split.name, f"train-{share}-seed{self.seed}")
        test = _list(options, split.name, "test")
        web = f"{self.root}/{WEB}"
        cnn = TrainCnnOptions(
            videos=self.benchmark.videos,
            split=train,
            frames=join(options.out, FRAMES),
            stride=options.stride or self.benchmark.stride,
            allow_missing=options.allow_missing,
            out=self._cnn(root),
            weights=self._cnn(web) if from_web else options.weights,
            epochs=options.frame_epochs,
            **self._cnn_settings(),
        )
        yield Step(f"{root}/cnn", "train_cnn", cnn, (FRAMES, f"{web}/cnn") if from_web else (FRAMES,)), None
        yield self._maps(root, (train, test), needs=(f"{root}/cnn",)), None
        scores = EvaluateOptions(
            store=self._store(root),
            split=test,
            out=join(options.out, f"{root}/scores"),
            methods=("cnn",) if trained_on == NO_IMAGE else ("cnn", "unatt", "energynet", "svm"),
            energynet=join(options.out, f"{root}/energynet"),
            train_split=train,
            allow_missing=options.allow_missing,
        )
        needs = [f"{root}/maps"]
        if trained_on != NO_IMAGE:
            yield self._energynet(root, train), None
            needs.append(f"{root}/energynet")
        cell = Cell(self.backbone, self.seed, split.name, trained_on, f"{root}/scores")
        yield Step(f"{root}/scores", "evaluate", scores, tuple(needs)), cell

    def _maps(self, root: str, lists: tuple[str, ...], needs: tuple[str, ...]) -> Step:
        options = PrecomputeOptions(
            videos=self.benchmark.videos,
            out=self._store(root),
            weights=self._cnn(root),
            lists=lists,
            stride=self.options.stride or self.benchmark.stride,
            columns=("maps", "logits", "features"),
            actors=self.options.actors,
        )
        return Step(f"{root}/maps", "precompute", options, needs)

    def _energynet(self, root: str, train: str) -> Step:
        config = {**dataclasses.asdict(self.options.energynet), "seed": self.seed}
        options = TrainEnergyNetOptions(
            store=self._store(root),
            split=train,
            out=join(self.options.out, f"{root}/energynet"),
            word_vectors=self.options.word_vectors,
            allow_missing=self.options.allow_missing,
            **config,
        )
        return Step(f"{root}/energynet", "train_energynet", options, (f"{root}/maps",))

    def _cnn_settings(self) -> dict[str, Any]:
        options = self.options
        return {
            "backbone": self.backbone,
            "classes": _classes(options),
            "mean": options.mean,
            "std": options.std,
            "input_size": options.input_size or IMAGENET_INPUT_SIZE,
            "seed": self.seed,
        }

    def _cnn(self, root: str) -> str:
        return join(self.options.out, f"{root}/cnn.safetensors")

    def _store(self, root: str) -> str:
        return join(self.options.out, f"{root}/store")


def _classes(options: ReproduceOptions) -> str:
    return join(options.out, "splits", "classes.txt")


def _list(options: ReproduceOptions, split: str, what: str) -> str:
    return join(options.out, "splits", f"{split}-{what}.txt")
