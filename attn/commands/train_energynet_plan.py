"""Plan of an EnergyNet's training: read and check all inputs before anything is started or written."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from attn.classes import class_ids
from attn.commands.holdout import holdout_record, kept_together
from attn.commands.map_source import MapSource, open_map_source
from attn.concepts.concept_vectors import ConceptVectors, make_concept_vectors
from attn.datasets.fractions import hold_out_videos, take_fraction
from attn.datasets.split import read_recordings, read_split
from attn.errors import UsageError
from attn.models.energynet_file import NAME
from attn.storage.error_messages import shown
from attn.storage.filesystem import join, storage_errors
from attn.storage.store import AttentionStore
from attn.training.energy_config import BEFORE_SHRINKAGE, WITH_RECIPES, EnergyConfig
from attn.training.energynet_job import EnergyJob
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.recipe import as_begun
from attn.training.run import RUN, TrainRun, chosen, digest
from attn.training.video_table import VideoTable

log = logging.getLogger(__name__)

LATER = ("rank_by", "monitor_smoothing")


def make_energy_training(
    options: TrainEnergyNetOptions, *, begun: Mapping[str, Any] | None = None
) -> tuple[TrainRun, EnergyJob, AttentionStore]:
    """Plan a training: read the inputs that the flags name and check that they are consistent.

    Args:
        options: command-line options.
        begun: `decisive` of the run to resume, if it is not recorded in the run folder next to `--out`.

    Raises:
        UsageError: an input is missing or invalid, or contradicts another one.
    """
    options.check()
    _check_numbers(options)
    begun = _begun(options) if begun is None else begun
    if before_recipes(begun):
        options = as_begun(options, begun)
        log.info("%s: started before recipes existed. Resuming with --recipe paper.", options.out)
    elif options.start_share is None and begun.get("start_share") == BEFORE_SHRINKAGE:
        options = dataclasses.replace(options, start_share=BEFORE_SHRINKAGE)
    with storage_errors(options.store):
        store = AttentionStore.open(options.store, allow_partial=options.allow_partial)
        source = open_map_source(options, store)
        num_frames = source.num_frames
    names = store.manifest.class_names
    whose = f" of {shown(store.url)}, whose maps are learnt from"
    listed = read_split(options.split, names, part="train", present=list(num_frames), whose=whose)
    split = source.videos(take_fraction(listed, options.fraction, seed=options.seed), options)
    recording_of = kept_together(read_recordings(options.split, listed, part="train"), split, begun)
    held = hold_out_videos(split, options.holdout_fraction, seed=options.seed, group_of=recording_of)
    ids = class_ids(names)
    labels = {video_id: ids[name] for video_id, name in split.items()}
    train = VideoTable.of({video_id: label for video_id, label in labels.items() if video_id not in held}, num_frames)
    held_out = VideoTable.of({video_id: labels[video_id] for video_id in held}, num_frames)
    if len(np.unique(train.labels)) < 2:
        raise UsageError(f"{shown(options.split)}: all training videos have one class. Give at least two classes.")
    concepts = make_concept_vectors(names, options, seed=options.seed)
    decisive = _decisive(options, store, source, train, held_out, concepts) | holdout_record(recording_of)
    run = TrainRun(join(options.out, NAME), _as_recorded(decisive, begun))
    run.check_folder()
    shape = store.manifest.map_shape
    job = EnergyJob(options, source.urls, source.record, train, held_out, concepts, shape, run.url)
    return run, job, store


def with_config(run: TrainRun, job: EnergyJob, options: TrainEnergyNetOptions) -> tuple[TrainRun, EnergyJob]:
    """Return another training with the same maps, videos and concept vectors.

    Args:
        run: run planned by `make_energy_training`.
        job: job planned by `make_energy_training`.
        options: options of the job with another `out` and other fields of `EnergyConfig`, except `seed` and
            `holdout_fraction`, which select videos.
    """
    fields = {field.name for field in dataclasses.fields(EnergyConfig)}
    rest = {key: value for key, value in run.decisive.items() if key not in fields}
    decisive = _as_recorded({**_chosen(options), **rest}, run.decisive)
    other = TrainRun(join(options.out, NAME), decisive)
    return other, dataclasses.replace(job, options=options, run_url=other.url)


def _begun(options: TrainEnergyNetOptions) -> dict[str, Any]:
    """Return `decisive` of the training in the run folder next to `--out`; empty without one."""
    return (TrainRun(join(options.out, NAME), {}).read(RUN) or {}).get("decisive", {})


def before_recipes(begun: Mapping[str, Any]) -> bool:
    """Return whether this is `decisive` of a training or search that was started before recipes existed."""
    return bool(begun) and "recipe" not in begun


def _as_recorded(decisive: dict[str, Any], begun: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the fields that a record from before recipes existed does not contain."""
    unnamed = WITH_RECIPES if before_recipes(begun) else ()
    return {name: value for name, value in decisive.items() if name not in unnamed}


def _check_numbers(options: TrainEnergyNetOptions) -> None:
    if options.workers < 1:
        raise UsageError(f"--workers {options.workers}: too small. Give 1 or more.")
    if options.workers > options.candidates_initial:
        raise UsageError(
            f"--workers {options.workers}: more than --candidates-initial ({options.candidates_initial}). Give fewer."
        )
    if options.map_memory_gb is not None and not 0 < options.map_memory_gb < float("inf"):
        raise UsageError(f"--map-memory-gb {options.map_memory_gb:g}: out of range. Give a number above 0.")


def _decisive(
    options: TrainEnergyNetOptions,
    store: AttentionStore,
    source: MapSource,
    train: VideoTable,
    held_out: VideoTable,
    concepts: ConceptVectors,
) -> dict[str, Any]:
    made_by = source.by_fingerprint({*train.video_ids, *held_out.video_ids})
    # Omitted if it has its default value, like the fields in `LATER`.
    maps = {"out_of_fold": {key: digest(videos) for key, videos in made_by.items()}} if options.out_of_fold else {}
    return {
        **_chosen(options),
        **maps,
        "fingerprint": store.manifest.fingerprint,
        "class_names": store.manifest.class_names,
        "videos": digest([train.record, held_out.record]),
        "concepts": _decisive_concepts(concepts),
    }


def _chosen(options: TrainEnergyNetOptions) -> dict[str, Any]:
    return chosen(options, [field.name for field in dataclasses.fields(EnergyConfig)], later=LATER)


def _decisive_concepts(concepts: ConceptVectors) -> dict[str, Any]:
    """Return the record of the concept vectors without file names, whose SHA-256 is recorded, and without defaults."""
    unnamed = {"file", "corpus"} | ({"norm"} if concepts.record.get("norm") == "l2" else set())
    return {key: value for key, value in concepts.record.items() if key not in unnamed}
