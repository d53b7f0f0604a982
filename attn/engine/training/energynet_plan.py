"""Everything the training of an EnergyNet can know, and refuse, before it starts anything."""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from attn.classes import class_ids
from attn.concepts.concept_vectors import ConceptVectors, make_concept_vectors
from attn.datasets.fractions import hold_out_videos, take_fraction
from attn.datasets.split import read_split
from attn.engine.options import TrainEnergyNetOptions
from attn.engine.training.map_source import MapSource, open_map_source
from attn.engine.training.run import RUN, TrainRun, chosen
from attn.errors import UsageError
from attn.models.energynet_file import NAME
from attn.stages.energy_config import WINDOW, WITH_RECIPES, EnergyConfig
from attn.stages.recipe import as_begun
from attn.stages.video_table import VideoTable
from attn.storage.error_messages import shown
from attn.storage.filesystem import join, storage_errors
from attn.storage.store import AttentionStore

log = logging.getLogger(__name__)

LATER = ("rank_by", "monitor_smoothing")


@dataclasses.dataclass(frozen=True)
class EnergyJob:
    """One training as plain data: what a worker must know, wherever it runs.

    Attributes:
        options: flags.
        store_urls: of the maps, absolute.
        map_source: what the report says of them.
        train: videos that are learnt from.
        held_out: videos that choose the best state; perhaps none.
        concepts: one vector per class.
        map_shape: rows and columns of each map.
        run_url: folder of the run.
    """

    options: TrainEnergyNetOptions
    store_urls: tuple[str, ...]
    map_source: dict[str, Any]
    train: VideoTable
    held_out: VideoTable
    concepts: ConceptVectors
    map_shape: tuple[int, int]
    run_url: str

    @property
    def config(self) -> EnergyConfig:
        """Settings that decide the training."""
        return self.options

    @property
    def window(self) -> int:
        """Side of the window that a residual network starts from."""
        return min(WINDOW, *self.map_shape)


def make_energy_training(
    options: TrainEnergyNetOptions, *, begun: Mapping[str, Any] | None = None
) -> tuple[TrainRun, EnergyJob, AttentionStore]:
    """Reads what the flags name and checks that it fits together.

    Args:
        options: flags.
        begun: `decisive` of what is resumed, if that is not a training recorded in the folder beside `--out`.

    Raises:
        UsageError: the first thing that does not fit.
    """
    options.check()
    _check_numbers(options)
    begun = _begun(options) if begun is None else begun
    if before_recipes(begun):
        options = as_begun(options, begun)
        log.info("%s was begun before there were recipes: it resumes with the paper's", options.out)
    with storage_errors(options.store):
        store = AttentionStore.open(options.store, allow_partial=options.allow_partial)
        source = open_map_source(options, store)
        num_frames = source.num_frames
    names = store.manifest.class_names
    listed = read_split(options.split, names, part="train", present=list(num_frames))
    split = source.videos(take_fraction(listed, options.fraction, seed=options.seed), options)
    held = hold_out_videos(split, fraction=options.holdout_fraction, seed=options.seed)
    ids = class_ids(names)
    labels = {video_id: ids[name] for video_id, name in split.items()}
    train = VideoTable.of({video_id: label for video_id, label in labels.items() if video_id not in held}, num_frames)
    held_out = VideoTable.of({video_id: labels[video_id] for video_id in held}, num_frames)
    if len(np.unique(train.labels)) < 2:
        raise UsageError(f"{shown(options.split)}: the videos are of one class; there is nothing to tell apart")
    concepts = make_concept_vectors(names, options, seed=options.seed)
    decisive = _decisive(options, store, source, train, held_out, concepts)
    run = TrainRun(join(options.out, NAME), _as_recorded(decisive, begun))
    shape = store.manifest.map_shape
    job = EnergyJob(options, source.urls, source.record, train, held_out, concepts, shape, run.url)
    return run, job, store


def with_config(run: TrainRun, job: EnergyJob, options: TrainEnergyNetOptions) -> tuple[TrainRun, EnergyJob]:
    """Another training of the same maps, videos and concept vectors.

    Args:
        run, job: of `make_energy_training`.
        options: the same, but for the fields of `EnergyConfig` that decide no video (all but `seed` and
            `holdout_fraction`), and `out`.
    """
    fields = {field.name for field in dataclasses.fields(EnergyConfig)}
    rest = {key: value for key, value in run.decisive.items() if key not in fields}
    decisive = _as_recorded({**_chosen(options), **rest}, run.decisive)
    other = TrainRun(join(options.out, NAME), decisive)
    return other, dataclasses.replace(job, options=options, run_url=other.url)


def _begun(options: TrainEnergyNetOptions) -> dict[str, Any]:
    """`decisive` of the training in the folder beside `--out`; empty if there is none."""
    return (TrainRun(join(options.out, NAME), {}).read(RUN) or {}).get("decisive", {})


def before_recipes(begun: Mapping[str, Any]) -> bool:
    """Whether that is the record of a training, or of a search, begun before there were recipes."""
    return bool(begun) and "recipe" not in begun


def _as_recorded(decisive: dict[str, Any], begun: Mapping[str, Any]) -> dict[str, Any]:
    """Without what a record from before there were recipes does not name."""
    unnamed = WITH_RECIPES if before_recipes(begun) else ()
    return {name: value for name, value in decisive.items() if name not in unnamed}


def _check_numbers(options: TrainEnergyNetOptions) -> None:
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: give 1 or more")
    if options.workers > options.candidates_initial:
        raise UsageError(f"--workers {options.workers} cannot share {options.candidates_initial} --candidates-initial")
    if options.map_memory_gb is not None and not 0 < options.map_memory_gb < float("inf"):
        raise UsageError(f"--map-memory-gb {options.map_memory_gb:g}: give a number above 0")


def _decisive(
    options: TrainEnergyNetOptions,
    store: AttentionStore,
    source: MapSource,
    train: VideoTable,
    held_out: VideoTable,
    concepts: ConceptVectors,
) -> dict[str, Any]:
    made_by = source.by_fingerprint({*train.video_ids, *held_out.video_ids})
    # Not named where it is as usual, like `LATER`.
    maps = {"out_of_fold": {key: _hash(some) for key, some in made_by.items()}} if options.out_of_fold else {}
    return {
        **_chosen(options),
        **maps,
        "fingerprint": store.manifest.fingerprint,
        "class_names": store.manifest.class_names,
        "videos": _hash([_rows(train), _rows(held_out)]),
        "concepts": _decisive_concepts(concepts),
    }


def _chosen(options: TrainEnergyNetOptions) -> dict[str, Any]:
    return chosen(options, [field.name for field in dataclasses.fields(EnergyConfig)], later=LATER)


def _decisive_concepts(concepts: ConceptVectors) -> dict[str, Any]:
    """Of files the sha256 says more than the name; the usual norm is not named, like `LATER`."""
    unnamed = {"file", "corpus"} | ({"norm"} if concepts.record.get("norm") == "l2" else set())
    return {key: value for key, value in concepts.record.items() if key not in unnamed}


def _rows(table: VideoTable) -> list[tuple[str, int, int]]:
    """The videos of a table as plain data."""
    return list(zip(table.video_ids, table.labels.tolist(), table.num_frames.tolist(), strict=True))


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
