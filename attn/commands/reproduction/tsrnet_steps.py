"""Plan of TSRNet's tables: each step is one job with its options and the steps that it needs.

<out>/<backbone>/web/                            CNN trained on Web images, if there are any
<out>/<backbone>/untrimmed/                      features of all untrimmed videos
<out>/<backbone>/trimmed/                        features of the trimmed videos
<out>/<backbone>/seed<k>/test/<variant>/         one network
<out>/<backbone>/seed<k>/test/<variant>/found/   its detections and scores of the test videos

With a stream of flow, whose CNN begins with the weights of that of RGB:

<out>/<backbone>/flow/untrimmed/, trimmed/            optical flow of the videos
<out>/<backbone>/flow/cnn.safetensors                 CNN trained on the flow of the trimmed videos
<out>/<backbone>/flow/features/untrimmed/, trimmed/   its features
<out>/<backbone>/seed<k>/test/<variant>/flow/         one network of flow, and its results in found/
<out>/<backbone>/seed<k>/test/<variant>/fused/        results of both networks
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from attn.commands.detect_options import DetectOptions
from attn.commands.precompute_flow_options import PrecomputeFlowOptions
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
from attn.report.tsrnet_tables import Stream, method_name
from attn.stages.tsrnet_config import TsrnetConfig
from attn.storage.filesystem import join
from attn.training.cnn_options import TrainCnnOptions
from attn.training.tsrnet_options import TrainTsrnetOptions

OF_VARIANTS = ("attention", "trimmed_ce")
"""Settings in which the networks of the tables differ."""
FOUND, SPLIT = "found", "test"
"""Folder of the results of a network, and the only split, named as in other papers."""
FEATURES_OF: dict[Stream, str] = {"rgb": "", "flow": "flow/features/"}
"""Folder of the features of a stream."""
NETWORK_OF: dict[Stream, str] = {"rgb": "", "flow": "flow/"}
"""Folder of the network of a stream, in that of its variant."""


BATCHNORM_OF_FLOW: dict[str, Literal["train"]] = {"synthetic": "train"}
"""BatchNorm of the CNN of flow, if not that of TSN, where all layers but the first are frozen. Statistics of rendered
images do not fit flow: with them the loss was 2.05 after two epochs, without 1.99, by chance 2.08."""


class NetworkRun(NamedTuple):
    """Network of the tables, or the two of both streams, with its results.

    Attributes:
        variant: name of the network in the tables.
        seed: seed of its training.
        found: name of the step that computes its results.
        stream: its features.
    """

    variant: TsrnetVariant
    seed: int
    found: str
    stream: Stream = "rgb"

    @property
    def method(self) -> str:
        """Name of the variant with its stream."""
        return method_name(self.variant, self.stream)


def settings_of(
    variant: TsrnetVariant, options: TsrnetTablesOptions, seed: int, stream: Stream = "rgb"
) -> TsrnetConfig:
    """Settings of one network of the tables.

    Raises:
        UsageError: a setting is out of range, or contradicts another.
    """
    settings = dataclasses.replace(options.tsrnet, **TSRNET_VARIANTS[variant], seed=seed)
    if stream == "flow" and options.flow_lr is not None:
        settings = dataclasses.replace(settings, lr=options.flow_lr)
    settings.check(trimmed=variant in WITH_TRIMMED)
    return settings


def make_steps(videos: UntrimmedVideos, options: TsrnetTablesOptions) -> tuple[list[Step], list[NetworkRun]]:
    """Return all steps in an order that satisfies their needs, and the networks whose results they compute."""
    maker = _Maker(videos, options)
    steps, runs = list(maker.shared()), list[NetworkRun]()
    for seed in options.seeds:
        for variant in options.variants:
            for own, run in maker.networks(variant, seed):
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
        if self._transfers:
            yield self._features("trimmed", self.videos.trimmed, needs)
        if options.flow is not None:
            yield from self._flow(needs)

    def _flow(self, needs: tuple[str, ...]) -> Iterator[Step]:
        """Optical flow, its CNN and its features; the start weights of the CNN are those of RGB."""
        for name, videos in (("untrimmed", self.videos.videos), ("trimmed", self.videos.trimmed)):
            yield self._optical_flow(name, str(videos))
        training = TrainCnnOptions(
            modality="flow",
            flow=self._url("flow/trimmed"),
            split=self.videos.trimmed_split,
            backbone=self.root,
            weights=self._weights(needs),
            epochs=self.options.flow_epochs,
            lr=self.options.flow_cnn_lr,
            head_lr=self.options.flow_cnn_lr,
            batchnorm=BATCHNORM_OF_FLOW.get(self.options.dataset, "auto"),
            out=self._url("flow/cnn.safetensors"),
            allow_missing=self.options.allow_missing,
            allow_untrained=True,
        )
        cnn = Step(f"{self.root}/flow/cnn", "train_cnn", training, (*needs, f"{self.root}/flow/trimmed"))
        yield cnn
        for name in ("untrimmed", "trimmed") if self._transfers else ("untrimmed",):
            features = PrecomputeOptions(
                flow=self._url(f"flow/{name}"),
                out=self._url(f"flow/features/{name}"),
                weights=training.out,
                columns=("features",),
                actors=self.options.actors,
                max_failed_fraction=self.options.max_failed_fraction,
            )
            before = (cnn.name, f"{self.root}/flow/{name}")
            yield Step(f"{self.root}/flow/features/{name}", "precompute", features, before)

    def _optical_flow(self, name: str, videos: str) -> Step:
        options = self.options
        flow = PrecomputeFlowOptions(
            videos=videos,
            out=self._url(f"flow/{name}"),
            algorithm=options.flow or "dis",
            weights=options.flow_weights,
            input_size=self._network()["input_size"],
            stride=self.videos.stride,
            lists=(str(self.videos.trimmed_split),) if name == "trimmed" else (),
            actors=None if options.flow == "dis" else options.actors,
            max_failed_fraction=options.max_failed_fraction,
        )
        return Step(f"{self.root}/flow/{name}", "precompute_flow", flow)

    def networks(self, variant: TsrnetVariant, seed: int) -> Iterator[tuple[list[Step], NetworkRun]]:
        """Trainings of the networks of one variant, and their detections in the test videos."""
        trained: dict[Stream, Step] = {}
        for stream in ("rgb",) if self.options.flow is None else ("rgb", "flow"):
            trained[stream] = self._training(variant, seed, stream)
            found = self._found(f"{self._folder(variant, seed)}/{NETWORK_OF[stream]}{FOUND}", {stream: trained[stream]})
            yield [trained[stream], found], NetworkRun(variant, seed, found.name, stream)
        if len(trained) > 1:
            fused = self._found(f"{self._folder(variant, seed)}/fused", trained)
            yield [fused], NetworkRun(variant, seed, fused.name, "fused")

    def _folder(self, variant: TsrnetVariant, seed: int) -> str:
        return f"{self.root}/seed{seed}/{SPLIT}/{variant}"

    def _training(self, variant: TsrnetVariant, seed: int, stream: Stream) -> Step:
        options, features = self.options, FEATURES_OF[stream]
        folder = f"{self._folder(variant, seed)}/{NETWORK_OF[stream]}".rstrip("/")
        transfer, needs = {}, (f"{self.root}/{features}untrimmed",)
        if variant in WITH_TRIMMED:
            needs += (f"{self.root}/{features}trimmed",)
            transfer = {
                "trimmed": self._url(f"{features}trimmed"),
                "trimmed_split": self.videos.trimmed_split,
                "class_map": options.class_map,
            }
        training = TrainTsrnetOptions(
            store=self._url(f"{features}untrimmed"),
            labels=self.videos.training_labels,
            classes=self.videos.training_classes,
            out=join(options.out, folder),
            allow_untrained=True,
            allow_missing=options.allow_missing,
            **transfer,
            **dataclasses.asdict(settings_of(variant, options, seed, stream)),
        )
        return Step(f"{folder}/tsrnet", "train_tsrnet", training, needs)

    def _found(self, name: str, trained: dict[Stream, Step]) -> Step:
        """Detections and scores by the networks of one stream, or of both."""
        options = self.options
        found = DetectOptions(
            store=tuple(self._url(f"{FEATURES_OF[stream]}untrimmed") for stream in trained),
            model=tuple(step.options.out for step in trained.values()),
            labels=self.videos.test_labels,
            class_list=self.videos.classes,
            out=join(options.out, name),
            theta=options.theta if len(trained) > 1 else DetectOptions.theta,
            allow_missing=options.allow_missing,
        )
        return Step(name, "detect", found, tuple(step.name for step in trained.values()))

    def _features(self, name: str, videos: str | None, needs: tuple[str, ...]) -> Step:
        options = self.options
        features = PrecomputeOptions(
            videos=videos,
            out=self._url(name),
            weights=str(self._weights(needs)),
            stride=self.videos.stride,
            columns=("features",),
            actors=options.actors,
            max_failed_fraction=options.max_failed_fraction,
            **({} if needs else self._network()),
        )
        return Step(f"{self.root}/{name}", "precompute", features, needs)

    @property
    def _transfers(self) -> bool:
        """Whether a network learns from trimmed videos."""
        return self.videos.trimmed is not None and not WITH_TRIMMED.isdisjoint(self.options.variants)

    def _weights(self, needs: tuple[str, ...]) -> str | None:
        """Weights of the CNN of RGB."""
        return self._url("web/cnn.safetensors") if needs else self.options.weights

    def _network(self) -> dict[str, Any]:
        options = self.options
        size = options.input_size or network_input(self.root).size
        return {"backbone": self.root, "mean": options.mean, "std": options.std, "input_size": size}

    def _url(self, path: str) -> str:
        return join(self.options.out, self.root, path)
