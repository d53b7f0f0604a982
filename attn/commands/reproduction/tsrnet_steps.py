"""Plan of TSRNet's tables: each step is one job with its options and the steps that it needs.

<out>/<backbone>/web/                        CNN trained on Web images, if there are any
<out>/<backbone>/untrimmed/                  features of all untrimmed videos
<out>/<backbone>/trimmed/                    features of the trimmed videos
<out>/<backbone>/seed<k>/test/<variant>/         one network
<out>/<backbone>/seed<k>/test/<variant>/found/   its detections and scores of the test videos
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from attn.commands.detect_options import DetectOptions
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.reproduction.reproduce_options import (
    TSRNET_VARIANTS,
    WITH_TRIMMED,
    TsrnetTablesOptions,
    TsrnetVariant,
)
from attn.commands.reproduction.tsrnet_data import UntrimmedVideos
from attn.engine.step import Step
from attn.models.backbone import network_input
from attn.stages.tsrnet_config import TsrnetConfig
from attn.storage.filesystem import join
from attn.training.cnn_options import TrainCnnOptions
from attn.training.tsrnet_options import TrainTsrnetOptions

OF_VARIANTS = ("attention", "trimmed_ce")
"""Settings in which the networks of the tables differ."""
FOUND, SPLIT = "found", "test"
"""Folder of the results of a network, and the only split, named as in other papers."""


class NetworkRun(NamedTuple):
    """Network of the tables with its results.

    Attributes:
        variant: name of the network in the tables.
        seed: seed of its training.
        found: name of the step that computes its results.
    """

    variant: TsrnetVariant
    seed: int
    found: str


def settings_of(variant: TsrnetVariant, options: TsrnetTablesOptions, seed: int) -> TsrnetConfig:
    """Settings of one network of the tables.

    Raises:
        UsageError: a setting is out of range, or contradicts another.
    """
    settings = dataclasses.replace(options.tsrnet, **TSRNET_VARIANTS[variant], seed=seed)
    settings.check(trimmed=variant in WITH_TRIMMED)
    return settings


def make_steps(videos: UntrimmedVideos, options: TsrnetTablesOptions) -> tuple[list[Step], list[NetworkRun]]:
    """Return all steps in an order that satisfies their needs, and the networks whose results they compute."""
    maker = _Maker(videos, options)
    steps, runs = list(maker.shared()), list[NetworkRun]()
    for seed in options.seeds:
        for variant in options.variants:
            own, run = maker.network(variant, seed)
            steps += own
            runs.append(run)
    return steps, runs


class _Maker:
    def __init__(self, videos: UntrimmedVideos, options: TsrnetTablesOptions):
        self.videos, self.options = videos, options
        self.root = str(options.backbone)

    def shared(self) -> Iterator[Step]:
        """Steps before all trainings of TSRNets."""
        options, needs = self.options, ()
        if self.videos.images is not None:
            web = TrainCnnOptions(
                images=self.videos.images,
                out=self._url("web/cnn.safetensors"),
                weights=options.weights,
                epochs=options.image_epochs,
                classes=self.videos.classes,
                allow_untrained=True,
                **self._network(),
            )
            needs = (f"{self.root}/web/cnn",)
            yield Step(*needs, "train_cnn", web)
        yield self._features("untrimmed", self.videos.videos, needs)
        if self._trimmed is not None:
            yield self._features("trimmed", self._trimmed, needs)

    def network(self, variant: TsrnetVariant, seed: int) -> tuple[list[Step], NetworkRun]:
        """Training of one network, and its detections in the test videos."""
        options, folder = self.options, f"{self.root}/seed{seed}/{SPLIT}/{variant}"
        transfer, needs = {}, (f"{self.root}/untrimmed",)
        if variant in WITH_TRIMMED:
            needs += (f"{self.root}/trimmed",)
            transfer = {
                "trimmed": self._url("trimmed"),
                "trimmed_split": self.videos.trimmed_split,
                "class_map": options.class_map,
            }
        training = TrainTsrnetOptions(
            store=self._url("untrimmed"),
            labels=self.videos.training_labels,
            classes=self.videos.classes,
            out=join(options.out, folder),
            allow_untrained=True,
            allow_missing=options.allow_missing,
            **transfer,
            **dataclasses.asdict(settings_of(variant, options, seed)),
        )
        found = DetectOptions(
            store=(self._url("untrimmed"),),
            model=(training.out,),
            labels=self.videos.test_labels,
            class_list=self.videos.classes,
            out=join(options.out, folder, FOUND),
            allow_missing=options.allow_missing,
        )
        trained = Step(f"{folder}/tsrnet", "train_tsrnet", training, needs)
        run = NetworkRun(variant, seed, f"{folder}/{FOUND}")
        return [trained, Step(run.found, "detect", found, (trained.name,))], run

    def _features(self, name: str, videos: str, needs: tuple[str, ...]) -> Step:
        options = self.options
        features = PrecomputeOptions(
            videos=videos,
            out=self._url(name),
            weights=self._url("web/cnn.safetensors") if needs else str(options.weights),
            stride=self.videos.stride,
            columns=("features",),
            actors=options.actors,
            max_failed_fraction=options.max_failed_fraction,
            **({} if needs else self._network()),
        )
        return Step(f"{self.root}/{name}", "precompute", features, needs)

    @property
    def _trimmed(self) -> str | None:
        return self.videos.trimmed if WITH_TRIMMED & {*self.options.variants} else None

    def _network(self) -> dict[str, Any]:
        options = self.options
        size = options.input_size or network_input(self.root).size
        return {"backbone": self.root, "mean": options.mean, "std": options.std, "input_size": size}

    def _url(self, path: str) -> str:
        return join(self.options.out, self.root, path)
