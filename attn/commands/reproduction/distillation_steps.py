"""Plan of the tables of attention distillation: steps with their job, its options and the steps that it needs.

<out>/splits/                                          split lists
<out>/frames/                                          frames of all training videos
<out>/flow/                                            flow of all videos, if a network needs it
<out>/<backbone>/seed<k>/<split>/<network>/            one network, its clips of the test videos, scores
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.precompute_flow_options import PrecomputeFlowOptions
from attn.commands.precompute_options import FramesOptions, PrecomputeOptions
from attn.commands.reproduction.cell import Cell
from attn.commands.reproduction.distillation_options import (
    DISTILLATION_VARIANTS,
    TAUGHT,
    DistillationTablesOptions,
    DistillationVariant,
)
from attn.commands.reproduction.labelled_videos import LabelledSplit, LabelledVideos, list_of
from attn.commands.reproduction.lists import list_of_classes
from attn.engine.step import FRAMES, Step
from attn.stages.clip_config import ClipConfig
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.training.clip_options import TrainClipCnnOptions

OF_VARIANTS = ("shuffle_teacher",)
"""Settings in which only the networks of the tables differ."""
FLOW, NETWORK = "flow", "clip_cnn"


def make_steps(videos: LabelledVideos, options: DistillationTablesOptions) -> tuple[list[Step], list[Cell]]:
    """Return all steps in an order that satisfies their needs, and the sets of scores that they produce."""
    maker = _Maker(videos, options)
    steps, cells = list(maker.shared()), list[Cell]()
    for seed in options.seeds:
        for split in videos.splits:
            for own, cell in maker.networks(split, seed):
                steps += own
                cells += [] if cell is None else [cell]
    return steps, cells


def settings_of(variant: DistillationVariant, options: DistillationTablesOptions, seed: int) -> ClipConfig:
    """Settings of one network of the tables.

    Raises:
        UsageError: a setting is out of range, or contradicts another.
    """
    settings = dataclasses.replace(options.clip_cnn, **DISTILLATION_VARIANTS[variant], seed=seed)
    settings.check()
    return settings


def needs_flow(options: DistillationTablesOptions) -> bool:
    """Whether a network of the tables takes flow or has a teacher."""
    return bool({*options.variants} & (TAUGHT | {"teacher"}))


class _Maker:
    def __init__(self, videos: LabelledVideos, options: DistillationTablesOptions):
        self.videos, self.options = videos, options
        self.root = options.clip_cnn.backbone

    def shared(self) -> Iterator[Step]:
        """Steps before all trainings."""
        options, size = self.options, int(self.options.input_size or 0)
        trains, tests = ([self._list(split, part) for split in self.videos.splits] for part in ("train", "test"))
        common = {"videos": self.videos.videos, "input_size": size, "stride": self.videos.stride}
        common |= {"max_failed_fraction": options.max_failed_fraction}
        if {*options.variants} - {"teacher"}:
            frames = FramesOptions(lists=tuple(trains), out=join(options.out, FRAMES), **common)
            yield Step(FRAMES, "decode_frames", frames)
        if needs_flow(options):
            flow = PrecomputeFlowOptions(
                lists=(*trains, *tests) if "teacher" in options.variants else tuple(trains),
                out=join(options.out, FLOW),
                algorithm=options.flow_algorithm,
                weights=options.flow_weights,
                bound=float(options.flow_bound or 0),
                actors=None if options.flow_algorithm == "dis" else options.actors,  # decode tasks compute DIS
                **common,
            )
            yield Step(FLOW, "precompute_flow", flow)

    def networks(self, split: LabelledSplit, seed: int) -> Iterator[tuple[list[Step], Cell | None]]:
        """Trainings of a split with the scores of each network; the teacher comes first."""
        teacher = self._training("teacher", split, seed, None)
        if "teacher" in self.options.variants:
            yield self._scored(teacher, "teacher", split, seed)
        elif needs_flow(self.options):
            yield [teacher], None
        for variant in self.options.variants:
            if variant != "teacher":
                training = self._training(variant, split, seed, teacher if variant in TAUGHT else None)
                yield self._scored(training, variant, split, seed)

    def _training(self, variant: DistillationVariant, split: LabelledSplit, seed: int, teacher: Step | None) -> Step:
        options, of_flow = self.options, variant == "teacher"
        folder = self._folder(variant, split, seed)
        taught = {} if teacher is None else {"teacher": teacher.options.out}
        sources = {} if of_flow else {"frames": join(options.out, FRAMES)}
        if of_flow or taught:
            sources["flow"] = join(options.out, FLOW)
        training = TrainClipCnnOptions(
            modality="flow" if of_flow else "rgb",
            split=self._list(split, "train"),
            classes=list_of_classes(options),
            weights=options.weights,
            out=join(options.out, folder, f"{NETWORK}.safetensors"),
            cache=self._cache,
            allow_untrained=True,
            allow_missing=options.allow_missing,
            **sources,
            **taught,
            **dataclasses.asdict(settings_of(variant, options, seed)),
        )
        needs = [FRAMES] * (not of_flow) + [FLOW] * ("flow" in sources)
        needs += [] if teacher is None else [teacher.name]
        return Step(f"{folder}/{NETWORK}", "train_clip_cnn", training, tuple(needs))

    def _scored(
        self, training: Step, variant: DistillationVariant, split: LabelledSplit, seed: int
    ) -> tuple[list[Step], Cell]:
        """A training, the clips of the test videos, and their scores."""
        options, folder, config = self.options, self._folder(variant, split, seed), training.options
        of_flow = variant == "teacher"
        source: dict[str, Any] = {"flow": join(options.out, FLOW)} if of_flow else {"videos": self.videos.videos}
        clips = PrecomputeOptions(
            weights=config.out,
            lists=(self._list(split, "test"),),
            out=join(options.out, folder, "store"),
            columns=("logits",) if variant == "rgb" else ("logits", "attention"),
            clip=(config.length, config.step),
            clip_every=options.clip_every,
            crops=options.crops,
            actors=options.actors,
            max_failed_fraction=options.max_failed_fraction,
            **source,
        )
        needs = (training.name, FLOW) if of_flow else (training.name,)
        scores = EvaluateOptions(
            store=clips.out,
            split=self._list(split, "test"),
            out=join(options.out, folder, "scores"),
            model=(f"{variant}={config.out}",),
            boxes=None if variant == "rgb" else options.boxes,
            allow_missing=options.allow_missing,
        )
        steps = [
            training,
            Step(f"{folder}/clips", "precompute", clips, needs),
            Step(f"{folder}/scores", "evaluate", scores, (f"{folder}/clips",)),
        ]
        return steps, Cell(self.root, seed, split.name, variant, f"{folder}/scores")

    def _folder(self, variant: DistillationVariant, split: LabelledSplit, seed: int) -> str:
        return f"{self.root}/seed{seed}/{split.name}/{variant}"

    @property
    def _cache(self) -> str | None:
        """Folder of frames and flow that all trainings map; it must be local, so None if `--out` is on S3."""
        return join(self.options.out, "cache") if Location.at(self.options.out).is_local else None

    def _list(self, split: LabelledSplit, part: str) -> str:
        return list_of(self.options, self.videos, split.name, part)
