"""Scorers for the flags of an evaluation and one store."""

import dataclasses
import functools
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from attn.classes import class_ids
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.split_check import present_videos
from attn.datasets.fractions import take_fraction
from attn.datasets.recordings import shared_recordings
from attn.datasets.split import classes_of_list, read_label_sets, read_split
from attn.errors import UsageError, refuse_flag, some
from attn.methods import CHOICES, METHODS, with_variants
from attn.models.energynet_file import load_energynet
from attn.stages.open_model import TrainedModel, energynet_model, open_model
from attn.stages.scoring import CALIBRATED, Named, Scorer, SvmVote, UnAtt, cnn_scorer
from attn.stages.svm import fit_svm_on_store
from attn.storage.error_messages import shown
from attn.storage.store import AttentionStore

log = logging.getLogger(__name__)

_NAMED = re.compile(r"([\w.-]*)=(.*)", re.DOTALL)  # a name has no slash: s3://bucket/lr=1/cnn.safetensors is a URL


@dataclasses.dataclass(frozen=True)
class Scoring:
    """Scorers and the classes that they score.

    Attributes:
        scorers: one or more scorers.
        class_names: classes of their scores.
        flag: flag that asks for them, with its value, for messages.
        owner: file or store whose classes these are, for messages.
    """

    scorers: tuple[Scorer, ...]
    class_names: tuple[str, ...]
    flag: str
    owner: str

    @property
    def whose(self) -> str:
        """Owner of the classes, for messages about a label that is not among them."""
        return f" of {self.owner}, which {self.flag} scores"


def make_scorers(options: EvaluateOptions, store: AttentionStore) -> Scoring:
    """Return the scorers of `--methods` without duplicates, then those of `--model`.

    `cnn` includes the two variants that the paper compares. SVMs are trained when they score their first video, so that
    nothing is computed before all checks.

    Raises:
        UsageError: a flag that a method requires is missing, a file or flag does not fit the store, or the scorers have
            different classes or equal names.
    """
    methods = options.chosen_methods
    if not methods and not options.model:
        raise UsageError(f"--methods: empty. Name at least one of {', '.join(CHOICES)}.")
    if options.model is not None and not options.model:
        raise UsageError("--model: empty. Name at least one model file.")
    if options.model:
        _check_used(options, methods)
    refuse_flag("fraction", options.fraction, "must be above 0 and at most 1", not 0 < options.fraction <= 1)
    refuse_flag("svm_c", options.svm_c, "must be a number above 0", not 0 < options.svm_c < float("inf"))
    made = [_of_method(name, options, store) for name in dict.fromkeys(methods)]
    made += [_of_file(given, options, store) for given in options.model or ()]
    for other in made[1:]:
        _check_classes(made[0], other)
    scorers = tuple(scorer for one in made for scorer in one.scorers)
    _check_names(options, scorers)
    store.check_columns(list(dict.fromkeys(column for scorer in scorers for column in scorer.columns)))
    return dataclasses.replace(made[0], scorers=scorers)


def _check_used(options: EvaluateOptions, methods: Sequence[str]) -> None:
    """Reject flags of methods that were not chosen together with `--model`, because they would have no effect."""
    used = {flag for name in methods for flag in METHODS[name].options}
    unused = {flag for method in METHODS.values() for flag in method.options} - used
    fields = [field for field in dataclasses.fields(options) if field.name in unused]
    if given := [field.name for field in fields if getattr(options, field.name) != field.default]:
        flags = ", ".join(map(_flag, given))
        raise UsageError(f"{flags}: --model has its own method. Leave out {flags}, or --model.")


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _check_classes(first: Scoring, other: Scoring) -> None:
    if other.class_names != first.class_names:
        differing = sorted({*first.class_names} ^ {*other.class_names})
        raise UsageError(
            f"{other.flag}: scores the classes of {other.owner}, but {first.flag} scores those of {first.owner} "
            f"({f'not in both: {some(differing)}' if differing else 'in another order'}). Evaluate them separately."
        )


def _check_names(options: EvaluateOptions, scorers: Iterable[Scorer]) -> None:
    names: list[str] = []
    for scorer in scorers:
        also = options.calibrate is not None and scorer.calibrated
        names += [scorer.name, scorer.name + CALIBRATED] if also else [scorer.name]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"--model: {some(twice)} would be the name of two sets of scores. Give each model a name: NAME=URL."
        )


def _of_method(name: str, options: EvaluateOptions, store: AttentionStore) -> Scoring:
    """Return the scorers of a method of `--methods`."""
    if (needed := METHODS[name].requires) and getattr(options, needed[0]) is None:
        flag = _flag(needed[0])
        raise UsageError(f"--methods {name}: requires {flag}. Give {flag} {needed[1]}.")
    return {"energynet": _energynet, "svm": _svm}.get(name, functools.partial(_cnn, name))(options, store)


def _cnn(name: str, options: EvaluateOptions, store: AttentionStore) -> Scoring:
    rows, cols = store.manifest.map_shape
    if name == UnAtt.name and not 1 <= options.window <= min(rows, cols):
        raise UsageError(
            f"--window {options.window}: does not fit the {rows}×{cols} maps of {options.store}. "
            f"Give 1 to {min(rows, cols)}."
        )
    scorers = tuple(cnn_scorer(one, options.window) for one in with_variants(name))
    return Scoring(scorers, store.manifest.class_names, f"--methods {name}", shown(store.url))


def _energynet(options: EvaluateOptions, store: AttentionStore) -> Scoring:
    url = options.energynet or ""
    return _of_model(energynet_model(load_energynet(url)), f"--energynet {shown(url)}", url, options, store)


def _svm(options: EvaluateOptions, store: AttentionStore) -> Scoring:
    labels, names = train_labels(options, store)
    where = f"--train-split {shown(options.train_split or '')}"
    _check_untrained(options, store, labels, where)
    fitted = functools.cache(lambda: fit_svm_on_store(store, labels, num_classes=len(names), c=options.svm_c))
    owner = store.url if names == store.manifest.class_names else options.train_split or ""
    return Scoring((SvmVote(lambda features: fitted()(features)),), names, "--methods svm", shown(owner))


def split_name(given: str, flag: str) -> tuple[str | None, str]:
    """Return name and URL of a value NAME=URL or URL of a flag.

    Raises:
        UsageError: one of them is empty.
    """
    found = _NAMED.fullmatch(given)
    name, url = found.groups() if found else (None, given)
    if name == "" or not url:
        lacking = "no name" if name == "" else "no URL"
        raise UsageError(f"{flag} {shown(given)}: {lacking}. Give NAME=URL, or only a URL.")
    return name, url


def check_fits(model: TrainedModel, flag: str, url: str, store: AttentionStore) -> None:
    """Check that a model can score the rows of a store.

    Args:
        model: the model.
        flag: flag that names it, with its value, for messages.
        url: URL of the model.
        store: the store.

    Raises:
        UsageError: the model needs the maps of another CNN or of other settings.
    """
    fingerprint = store.manifest.fingerprint
    if model.fingerprint not in (None, fingerprint):
        raise UsageError(
            f"{flag}: was trained on a store with fingerprint {model.fingerprint}, but {shown(store.url)} has "
            f"{fingerprint}, so the CNN or the settings differ. Train on this store, or score a store with the former "
            "fingerprint."
        )
    if other := model.unlike(store.manifest):
        raise UsageError(
            f"{flag}: {shown(store.url)} was made with another {', '.join(other)}. Precompute the videos with "
            f"--weights {shown(url)}."
        )


def _of_file(given: str, options: EvaluateOptions, store: AttentionStore) -> Scoring:
    """Return the scorer of a value of `--model`: NAME=URL or URL."""
    name, url = split_name(given, "--model")
    made = _of_model(open_model(url), f"--model {shown(url)}", url, options, store)
    (scorer,) = made.scorers
    return made if name in (None, scorer.name) else dataclasses.replace(made, scorers=(Named(scorer, name),))


def _of_model(model: TrainedModel, flag: str, url: str, options: EvaluateOptions, store: AttentionStore) -> Scoring:
    """Return the scorer of an open model, after a check that it fits the store and the test videos."""
    check_fits(model, flag, url, store)
    _check_untrained(options, store, model.trained_on, flag)
    return Scoring((model.scorer,), model.class_names, flag, shown(url))


def _check_untrained(options: EvaluateOptions, store: AttentionStore, learnt: Collection[str], where: str) -> None:
    """Reject test videos that were used for training; warn of test clips from a recording of a training clip."""
    tested = read_label_sets(options.split, present=store.video_ids)
    if both := sorted(set(learnt) & tested.keys()):
        raise UsageError(
            f"{some(both)}: both in --split {shown(options.split)} and in {where}. Test only on unseen videos."
        )
    if twins := shared_recordings(learnt, tested):
        log.warning(
            "%s: %d of the %d test clips are from recordings of its training clips, such as %s and %s. Their accuracy "
            "is too high. Split by groups.",
            *(where, len(twins), len(tested), *twins[0]),
        )


def train_labels(options: EvaluateOptions, store: AttentionStore) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """Return the class IDs of the SVMs' training videos and the class names.

    The classes are the store's, or those of the list if it names others: features do not depend on classes.

    Raises:
        UsageError: videos are missing from the store, or all are of the same class.
    """
    url, present = options.train_split or "", store.video_ids
    names = classes_of_list(url, store.manifest.class_names, part="train")
    listed = read_split(url, names, part="train", present=present)
    split = take_fraction(listed, options.fraction, seed=options.seed)
    split = present_videos(split, present, store=options.store, where=url, allow_missing=options.allow_missing)
    if len(set(split.values())) < 2:
        raise UsageError(f"{shown(url)}: all videos are of the same class. List videos of at least two classes.")
    ids = class_ids(names)
    return {video_id: ids[name] for video_id, name in split.items()}, names
