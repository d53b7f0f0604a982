"""Steps of one CNN and seed: the options and output paths of each job."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from attn.commands.evaluate_options import DEFAULT_METHODS, EvaluateOptions
from attn.commands.precompute_options import Column, PrecomputeOptions
from attn.commands.reproduction.cell import Cell, Start
from attn.commands.reproduction.lists import (
    list_of_classes,
    list_of_test,
)
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.datasets.benchmark import Benchmark, Split
from attn.engine.step import FRAMES, Step
from attn.models.backbone import network_input
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.training.cnn_options import TrainCnnOptions
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.recipe import PAPER, paper_recipe


class StepMaker:
    """Makes steps for one backbone and seed.

    Args:
        benchmark: the data set.
        options: resolved options of the reproduction.
        backbone: name of the CNN.
        seed: seed of all trainings.
    """

    def __init__(self, benchmark: Benchmark, options: ReproduceOptions, backbone: str, seed: int):
        self.benchmark, self.options, self.backbone, self.seed = benchmark, options, backbone, seed
        self.root = f"{backbone}/seed{seed}"

    def _made(self, root: str) -> Start:
        return Start(self._cnn(root), (f"{root}/cnn",))

    def _web_training(self, root: str) -> Step:
        options = self.options
        cnn = TrainCnnOptions(
            images=self.benchmark.images,
            out=self._cnn(root),
            weights=options.weights,
            epochs=options.image_epochs,
            near_duplicates=options.near_duplicates,
            **self._cnn_settings(),
        )
        return Step(f"{root}/cnn", "train_cnn", self._as_recipe(cnn))

    def _scores(
        self, name: str, root: str, split: Split, trained_on: str, needs: tuple[str, ...], **settings: Any
    ) -> tuple[Step, Cell]:
        options = EvaluateOptions(
            store=self._store(root),
            split=list_of_test(self.options, split.name),
            out=join(self.options.out, name),
            allow_missing=self.options.allow_missing,
            **{"methods": DEFAULT_METHODS, **settings},
        )
        cell = Cell(self.backbone, self.seed, split.name, trained_on, name)
        return Step(name, "evaluate", options, needs), cell

    def _finetuned_cnn(self, root: str, train: str, start: Start) -> Step:
        options = self.options
        cnn = TrainCnnOptions(
            videos=self.benchmark.videos,
            split=train,
            frames=join(options.out, FRAMES),
            mix_images=start.mixed,
            mix_cache=self._mix_cache if start.mixed else None,
            stride=options.stride or self.benchmark.stride,
            allow_missing=options.allow_missing,
            max_failed_fraction=options.max_failed_fraction,
            out=self._cnn(root),
            weights=start.weights,
            epochs=options.frame_epochs,
            **self._cnn_settings(),
        )
        return Step(f"{root}/cnn", "train_cnn", self._as_recipe(cnn), (FRAMES, *start.needs))

    @property
    def _source(self) -> str:
        """Suffix of outputs that depend on `--map-source`, so that outputs of both sources can coexist."""
        return f"-folds{self.options.folds}" if self.options.map_source == "out_of_fold" else ""

    def _maps(
        self,
        root: str,
        lists: tuple[str, ...],
        *,
        cnn: Start | None = None,
        columns: tuple[Column, ...] = ("maps", "logits", "features"),
    ) -> Step:
        cnn = cnn or self._made(root)
        options = PrecomputeOptions(
            videos=self.benchmark.videos,
            out=self._store(root),
            weights=str(cnn.weights),
            lists=lists,
            stride=self.options.stride or self.benchmark.stride,
            columns=columns,
            actors=self.options.actors,
            max_failed_fraction=self.options.max_failed_fraction,
        )
        return Step(f"{root}/maps", "precompute", options, cnn.needs)

    def _energynet(self, name: str, root: str, train: str, folds: Sequence[Step]) -> Step:
        config = {**dataclasses.asdict(self.options.energynet), "seed": self.seed}
        options = TrainEnergyNetOptions(
            store=self._store(root),
            out_of_fold=tuple(fold.options.out for fold in folds),
            split=train,
            out=join(self.options.out, name),
            word_vectors=self.options.word_vectors,
            aggregation=self.options.aggregation,
            allow_untrained=True,
            allow_missing=self.options.allow_missing,
            **config,
        )
        needs = (f"{root}/maps", *(fold.name for fold in folds))
        return Step(name, "train_energynet", options, needs)

    def _cnn_settings(self) -> dict[str, Any]:
        return {**self._network(), "seed": self.seed, "allow_untrained": True}

    def _network(self) -> dict[str, Any]:
        options = self.options
        return {
            "backbone": self.backbone,
            "classes": list_of_classes(options),
            "mean": options.mean,
            "std": options.std,
            "input_size": options.input_size or network_input(self.backbone).size,
        }

    def _as_recipe(self, cnn: TrainCnnOptions) -> TrainCnnOptions:
        return paper_recipe(cnn) if self.options.recipe == PAPER else cnn

    @property
    def _mix_cache(self) -> str | None:
        """Folder of resized Web images for all fine-tunings; it must be local, so None if `--out` is on S3."""
        return join(self.options.out, "cache") if Location.at(self.options.out).is_local else None

    def _cnn(self, root: str) -> str:
        return join(self.options.out, f"{root}/cnn.safetensors")

    def _store(self, root: str) -> str:
        return join(self.options.out, f"{root}/store")
