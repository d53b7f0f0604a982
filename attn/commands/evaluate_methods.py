"""Scorers for the flags of an evaluation and one store."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attn.classes import class_ids
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.split_check import present_videos
from attn.datasets.fractions import take_fraction
from attn.datasets.split import read_split
from attn.errors import UsageError, some
from attn.eval.calibration import Calibration
from attn.models.energynet_file import check_store, load_energynet
from attn.models.model_file import Model, load_model
from attn.stages.scoring import Calibrated, CnnAverage, CnnSoftmaxVote, CnnVote, EnergyNetScore, Scorer, SvmVote, UnAtt
from attn.stages.svm import fit_svm_on_store
from attn.storage.error_messages import shown
from attn.storage.manifest import SCORE_FIELDS, Manifest
from attn.storage.store import AttentionStore

KINDS: Mapping[str, tuple[type[Any], ...]] = {
    "cnn": (CnnVote, CnnSoftmaxVote, CnnAverage),
    "unatt": (UnAtt,),
    "energynet": (EnergyNetScore,),
    "svm": (SvmVote,),
}

OF_METHODS = ("methods", "energynet", "train_split", "fraction", "svm_c", "seed", "window")
"""Flags that select or configure `--methods`."""


def calibrated_columns(methods: Sequence[str]) -> set[str]:
    """Store columns read by those scorers of `--methods` that can be calibrated."""
    kinds = [kind for method in methods for kind in KINDS[method] if kind.calibrated]
    return {name for kind in kinds for name in kind.columns}


def make_scorers(options: EvaluateOptions, store: AttentionStore) -> tuple[Scorer, ...]:
    """Return the scorers of `--methods` without duplicates; `cnn` includes the two variants that the paper compares.

    Raises:
        UsageError: a flag that a method requires is missing or does not fit the store.
    """
    if options.model is not None:
        _check_alone(options)
        model = load_model(options.model)
        _check_untrained(options, store, model.trained_on, f"--model {shown(options.model)}")
        return (scorer_of(model, options.model, store),)
    if not options.methods:
        raise UsageError("--methods: empty. Name at least one of cnn, unatt, energynet, svm.")
    makers = {"cnn": _cnn, "unatt": _unatt, "energynet": _energynet, "svm": _svm}
    return tuple(scorer for method in dict.fromkeys(options.methods) for scorer in makers[method](options, store))


def _check_alone(options: EvaluateOptions) -> None:
    """Reject flags of `--methods` together with `--model`, because they would have no effect."""
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    if given := [name for name in OF_METHODS if getattr(options, name) != defaults[name]]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{flags}: --model has its own method. Leave out {flags}, or --model.")


def scorer_of(model: Model, url: str, store: AttentionStore) -> Scorer:
    """Return the scorer of a model file for a store.

    Args:
        model: content of the model file.
        url: URL of the model file, for messages.
        store: store with the videos to be scored.

    Raises:
        UsageError: the store was made with another CNN or other settings.
    """
    if other := unlike(model, store.manifest):
        raise UsageError(
            f"--model {shown(url)}: {shown(store.url)} was made with another {', '.join(other)}. Precompute the videos "
            f"with --weights {shown(url)}."
        )
    return own_scorer(model)


def unlike(model: Model, manifest: Manifest) -> list[str]:
    """Names of map settings that differ between a manifest and a model."""
    return [name for name, value in manifest.of(SCORE_FIELDS).items() if model.maps.get(name) != value]


def own_scorer(model: Model) -> Scorer:
    """Return the scorer of a model file without checking a store."""
    if model.energynet is not None:
        scorer: Scorer = EnergyNetScore(model.energynet.net)
    else:
        makers = {one.name: one for one in (CnnVote, CnnAverage)}
        scorer = UnAtt(model.window) if model.method == UnAtt.name else makers[model.method]()
    if model.calibration is None:
        return scorer
    return Calibrated(scorer, Calibration.from_record(model.calibration))


def _cnn(options: EvaluateOptions, store: AttentionStore) -> tuple[Scorer, ...]:
    return CnnVote(), CnnSoftmaxVote(), CnnAverage()


def _unatt(options: EvaluateOptions, store: AttentionStore) -> tuple[Scorer, ...]:
    rows, cols = store.manifest.map_shape
    if not 1 <= options.window <= min(rows, cols):
        raise UsageError(
            f"--window {options.window}: does not fit the {rows}×{cols} maps of {options.store}. "
            f"Give 1 to {min(rows, cols)}."
        )
    return (UnAtt(options.window),)


def _energynet(options: EvaluateOptions, store: AttentionStore) -> tuple[Scorer, ...]:
    if options.energynet is None:
        raise UsageError(
            "--methods energynet: requires --energynet. Give --energynet the folder written by train_energynet."
        )
    trained = load_energynet(options.energynet)
    check_store(trained, options.energynet, options.store, store.manifest.fingerprint)
    learnt = trained.trained.get("train_videos", []) + trained.trained.get("held_out_videos", [])
    _check_untrained(options, store, learnt, f"--energynet {options.energynet}")
    return (EnergyNetScore(trained.net),)


def _svm(options: EvaluateOptions, store: AttentionStore) -> tuple[Scorer, ...]:
    if options.train_split is None:
        raise UsageError("--methods svm: requires --train-split. Give --train-split the list of training videos.")
    if not 0 < options.svm_c < float("inf"):
        raise UsageError(f"--svm-c {options.svm_c:g}: must be a number above 0.")
    labels = train_labels(options, store)
    _check_untrained(options, store, labels, f"--train-split {options.train_split}")
    return (SvmVote(fit_svm_on_store(store, labels, c=options.svm_c)),)


def _check_untrained(options: EvaluateOptions, store: AttentionStore, learnt: Iterable[str], where: str) -> None:
    """Reject test videos that were used for training."""
    tested = read_split(options.split, store.manifest.class_names, present=store.video_ids)
    if both := sorted(set(learnt) & tested.keys()):
        raise UsageError(
            f"{some(both)}: both in --split {shown(options.split)} and in {where}. Test only on unseen videos."
        )


def train_labels(options: EvaluateOptions, store: AttentionStore) -> Mapping[str, int]:
    """Return the class IDs of the SVMs' training videos.

    Raises:
        UsageError: videos are missing from the store, or all are of the same class.
    """
    names, url = store.manifest.class_names, options.train_split or ""
    listed = read_split(url, names, part="train", present=store.video_ids)
    split = take_fraction(listed, options.fraction, seed=options.seed)
    split = present_videos(split, store.video_ids, store=options.store, where=url, allow_missing=options.allow_missing)
    if len(set(split.values())) < 2:
        raise UsageError(f"{shown(url)}: all videos are of the same class. List videos of at least two classes.")
    ids = class_ids(names)
    return {video_id: ids[name] for video_id, name in split.items()}
