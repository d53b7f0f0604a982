"""Plan of the soft-attention tables: each step is one job with its options and the steps that it needs.

<out>/splits/                                   split lists
<out>/<backbone>/web/                           CNN trained on Web images, if there are any
<out>/<backbone>/grids/                         activation grids of all videos, one store for all trainings
<out>/<backbone>/seed<k>/<split>/<variant>/     one LSTM
<out>/<backbone>/seed<k>/<split>/lstm/scores/   scores of all LSTMs, and of an SVM on the same frames
<out>/<backbone>/seed<k>/<split>/cnn/           with --cnn-epochs: fine-tuned CNN, its maps, scores
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from attn.commands.evaluate_options import DEFAULT_METHODS, EvaluateOptions
from attn.commands.precompute_options import FramesOptions, PrecomputeOptions
from attn.commands.reproduction.cell import CNN, LSTM, Cell
from attn.commands.reproduction.labelled_videos import LabelledSplit, LabelledVideos, list_of
from attn.commands.reproduction.lists import list_of_classes
from attn.commands.reproduction.reproduce_options import VARIANTS, SoftAttentionTablesOptions, Variant
from attn.engine.step import FRAMES, Step
from attn.models.backbone import network_input
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.training.cnn_options import TrainCnnOptions
from attn.training.soft_attention_options import TrainSoftAttentionOptions

OF_VARIANTS = ("pooling", "attention", "attention_penalty")
"""Settings in which the networks of the tables differ."""


def make_steps(videos: LabelledVideos, options: SoftAttentionTablesOptions) -> tuple[list[Step], list[Cell]]:
    """Return all steps in an order that satisfies their needs, and the sets of scores that they produce."""
    maker = _Maker(videos, options)
    steps, cells = list(maker.shared()), list[Cell]()
    for seed in options.seeds:
        for split in videos.splits:
            parts = [maker.lstms(split, seed), *([maker.cnn(split, seed)] if options.cnn_epochs else [])]
            for own, cell in parts:
                steps += own
                cells.append(cell)
    return steps, cells


def settings_of(variant: Variant, options: SoftAttentionTablesOptions, seed: int) -> SoftAttentionConfig:
    """Settings of one LSTM of the tables.

    Raises:
        UsageError: a setting is out of range, or contradicts another.
    """
    own = options.soft_attention.settle(VARIANTS[variant])
    settings = dataclasses.replace(options.soft_attention, **own, seed=seed)
    settings.check(multi_label=options.dataset == "hollywood2")
    return settings


class _Maker:
    def __init__(self, videos: LabelledVideos, options: SoftAttentionTablesOptions):
        self.videos, self.options = videos, options
        self.root = str(options.backbone)

    def shared(self) -> Iterator[Step]:
        """Steps before all trainings of LSTMs."""
        options = self.options
        if self.videos.images is not None:
            web = TrainCnnOptions(
                images=self.videos.images,
                out=self._url("web/cnn.safetensors"),
                weights=options.weights,
                epochs=options.image_epochs,
                **self._training(0),  # one CNN for all seeds
            )
            yield Step(f"{self.root}/web/cnn", "train_cnn", web)
        grids = PrecomputeOptions(
            videos=self.videos.videos,
            out=self._url("grids"),
            weights=str(self._start),
            lists=tuple(self._list(split, part) for split in self.videos.splits for part in ("train", "test")),
            stride=self.videos.stride,
            columns=("grid",) if self.videos.several else ("grid", "features"),
            actors=options.actors,
            max_failed_fraction=options.max_failed_fraction,
            **({} if self._needs else self._network()),
        )
        yield Step(f"{self.root}/grids", "precompute", grids, self._needs)
        if options.cnn_epochs:
            frames = FramesOptions(
                videos=self.videos.videos,
                lists=tuple(self._list(split, "train") for split in self.videos.splits),
                out=join(options.out, FRAMES),
                input_size=self._size,
                preprocessing=str(network_input(self.root).resampling),
                stride=self.videos.stride,
                max_failed_fraction=options.max_failed_fraction,
            )
            yield Step(FRAMES, "decode_frames", frames)

    def lstms(self, split: LabelledSplit, seed: int) -> tuple[list[Step], Cell]:
        """Trainings of all LSTMs of a split, and their scores."""
        options, folder = self.options, f"{self.root}/seed{seed}/{split.name}"
        trainings = [
            Step(
                f"{folder}/{variant}/lstm",
                "train_soft_attention",
                TrainSoftAttentionOptions(
                    store=self._url("grids"),
                    split=self._list(split, "train"),
                    out=join(options.out, folder, variant),
                    cache=self._cache,
                    allow_untrained=True,
                    allow_missing=options.allow_missing,
                    **dataclasses.asdict(settings_of(variant, options, seed)),
                ),
                (f"{self.root}/grids",),
            )
            for variant in options.variants
        ]
        models = tuple(f"{one}={step.options.out}" for one, step in zip(options.variants, trainings, strict=True))
        linear = {} if self.videos.several else {"methods": ("svm",), "train_split": self._list(split, "train")}
        names = (f"{self.root}/grids", *(step.name for step in trainings))
        scores, cell = self._scores(f"{folder}/{LSTM}", "grids", split, seed, names, model=models, **linear)
        return [*trainings, scores], cell

    def cnn(self, split: LabelledSplit, seed: int) -> tuple[list[Step], Cell]:
        """Fine-tuning of the CNN on the training frames of a split, its maps of the test videos, and its scores."""
        options, folder = self.options, f"{self.root}/seed{seed}/{split.name}/{CNN}"
        cnn = TrainCnnOptions(
            videos=self.videos.videos,
            split=self._list(split, "train"),
            frames=join(options.out, FRAMES),
            stride=self.videos.stride,
            allow_missing=options.allow_missing,
            max_failed_fraction=options.max_failed_fraction,
            out=join(options.out, folder, "cnn.safetensors"),
            weights=self._start,
            epochs=options.cnn_epochs,
            **self._training(seed),
        )
        maps = PrecomputeOptions(
            videos=self.videos.videos,
            out=join(options.out, folder, "store"),
            weights=cnn.out,
            lists=(self._list(split, "test"),),
            stride=self.videos.stride,
            actors=options.actors,
            max_failed_fraction=options.max_failed_fraction,
        )
        steps = [
            Step(f"{folder}/cnn", "train_cnn", cnn, (FRAMES, *self._needs)),
            Step(f"{folder}/maps", "precompute", maps, (f"{folder}/cnn",)),
        ]
        store = f"seed{seed}/{split.name}/{CNN}/store"
        scores, cell = self._scores(folder, store, split, seed, (f"{folder}/maps",), methods=DEFAULT_METHODS)
        return [*steps, scores], cell

    def _scores(
        self, folder: str, store: str, split: LabelledSplit, seed: int, needs: tuple[str, ...], **settings: Any
    ) -> tuple[Step, Cell]:
        options = EvaluateOptions(
            store=self._url(store),
            split=self._list(split, "test"),
            out=join(self.options.out, folder, "scores"),
            allow_missing=self.options.allow_missing,
            **settings,
        )
        name = f"{folder}/scores"
        cell = Cell(self.root, seed, split.name, folder.rpartition("/")[2], name)
        return Step(name, "evaluate", options, needs), cell

    @property
    def _start(self) -> str | None:
        """Weights of the CNN of the grids."""
        return self._url("web/cnn.safetensors") if self._needs else self.options.weights

    @property
    def _needs(self) -> tuple[str, ...]:
        return () if self.videos.images is None else (f"{self.root}/web/cnn",)

    @property
    def _size(self) -> int:
        return self.options.input_size or network_input(self.root).size

    @property
    def _cache(self) -> str | None:
        """Folder of the grids that all trainings map; it must be local, so None if `--out` is on S3."""
        return join(self.options.out, "cache") if Location.at(self.options.out).is_local else None

    def _network(self) -> dict[str, Any]:
        options = self.options
        return {"backbone": self.root, "mean": options.mean, "std": options.std, "input_size": self._size}

    def _training(self, seed: int) -> dict[str, Any]:
        return {
            **self._network(),
            "classes": list_of_classes(self.options),
            "seed": seed,
            "allow_untrained": True,
        }

    def _list(self, split: LabelledSplit, part: str) -> str:
        return list_of(self.options, self.videos, split.name, part)

    def _url(self, path: str) -> str:
        return join(self.options.out, self.root, path)
