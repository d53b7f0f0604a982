"""Plan of a search: every check that can be made before the first trial starts."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from attn.commands.search.space_file import read_space
from attn.commands.train_energynet import EnergyTraining
from attn.commands.train_energynet_plan import before_recipes, make_energy_training
from attn.commands.train_soft_attention import SoftAttentionTraining
from attn.commands.train_soft_attention_plan import make_soft_attention_training
from attn.commands.train_tsrnet import TsrnetTraining
from attn.commands.train_tsrnet_plan import make_tsrnet_training
from attn.engine.train.driver import Training
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.run_lock import occupied
from attn.storage.writable import check_writable
from attn.training.recipe import as_begun
from attn.training.run import TrainRun
from attn.training.search_options import AnySearchOptions, SearchSoftAttentionOptions, SearchTsrnetOptions
from attn.training.search_space import Space, check_space, grid
from attn.training.trial_records import Trial, read_trials

SEARCH = "search.json"

Cached = TypeVar("Cached", SearchSoftAttentionOptions, SearchTsrnetOptions)


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """A search whose flags and data were checked.

    Attributes:
        options: flags; `out` is absolute.
        space: settings to search and their values.
        training: training with the settings that are not searched.
        held_out: number of held-out videos.
        several: whether videos may have several classes, or none.
        fingerprint: fingerprint of the store.
        known: trials of earlier runs of this search.
    """

    options: AnySearchOptions
    space: Space
    training: Training
    held_out: int
    several: bool
    fingerprint: str
    known: list[Trial]


@contextlib.contextmanager
def open_search(options: AnySearchOptions, spaces: Mapping[str, Space]) -> Iterator[SearchPlan]:
    """Read and check all inputs of a search; write only `search.json`.

    On a local disk, the output folder is locked against other searches until the context ends.

    Args:
        options: flags.
        spaces: predefined spaces by name.

    Raises:
        UsageError: a flag or an input is invalid, or they contradict each other.
    """
    _check_numbers(options)
    options = dataclasses.replace(options, out=Location.at(options.out).absolute)
    check_writable(options.out)
    space = spaces[options.space] if options.space in spaces else _own_space(options.space, spaces)
    check_space(space, options)
    begun = _begun(options)
    options, training, fingerprint = _planned(options, begun)
    held_out, several = training.job.held_out.video_ids, getattr(training.job, "multi_label", False)
    if not held_out:
        raise UsageError(
            f"--holdout-fraction {options.holdout_fraction:g}: no video is held out, so trials cannot be validated. "
            "Give a larger fraction, or more than two videos of a class."
        )
    if options.sampler == "grid" and not grid(space, options):
        raise UsageError("--sampler grid: no combination of the values is valid. Change the values in --space.")
    with occupied(Location.at(options.out)):
        known = read_trials(options.out)
        _settle(options, _decisive(options, space, training.run), known)
        yield SearchPlan(options, space, training, len(held_out), several, fingerprint, known)


def _planned(options: AnySearchOptions, begun: dict[str, Any]) -> tuple[AnySearchOptions, Training, str]:
    """Plan the training whose settings are searched; return its options and the fingerprint of its store, too."""
    if isinstance(options, SearchSoftAttentionOptions):
        if options.retrain:
            raise UsageError("--retrain: not used in a search. Leave it out, and retrain with the settings found.")
        options = _with_cache(options)
        run, job, store = make_soft_attention_training(options)
        return options, SoftAttentionTraining(run, job, store.manifest), store.manifest.fingerprint
    if isinstance(options, SearchTsrnetOptions):
        if options.init is not None:
            raise UsageError("--init: not used in a search, which may vary widths. Leave it out.")
        options = _with_cache(options)
        run, job, store = make_tsrnet_training(options)
        return options, TsrnetTraining(run, job, store.manifest), store.manifest.fingerprint
    run, job, store = make_energy_training(options, begun=begun)
    if before_recipes(begun):
        options = as_begun(options, begun)
    options = dataclasses.replace(options, start_share=job.options.start_share)  # of a search begun before, 0.5
    return options, EnergyTraining(run, job, store.manifest), store.manifest.fingerprint


def _with_cache(options: Cached) -> Cached:
    """Options with a folder that all trials of a machine map, if the output is local."""
    if options.cache is not None or not Location.at(options.out).is_local:
        return options
    return dataclasses.replace(options, cache=join(options.out, "cache"))


def _begun(options: AnySearchOptions) -> dict[str, Any]:
    """Return `decisive` of the search in `--out`; empty if its record is missing or unreadable.

    `_check_same` rejects an unreadable record later.
    """
    record = Location.at(options.out) / SEARCH
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return dict(json.loads(record.read_text())["decisive"]) if record.exists() else {}
    return {}


def _check_numbers(options: AnySearchOptions) -> None:
    for name in ("trials", "side_by_side"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} {value}: too small. Give 1 or more.")
    gpus = options.gpus_per_trial
    if gpus is not None and not 0 <= gpus <= 1:
        raise UsageError(
            f"--gpus-per-trial {gpus:g}: out of range. Give a number from 0 to 1; to use more GPUs in a trial, give "
            "--workers."
        )
    if gpus is not None and options.gpu is not None and options.gpu != (gpus > 0):
        raise UsageError(f"--gpus-per-trial {gpus:g}: contradicts --{'' if options.gpu else 'no-'}gpu. Give only one.")
    if options.workers > 1 and gpus is not None:
        raise UsageError("--gpus-per-trial: needs --workers 1. For several workers with one GPU each, give --gpu.")


def _own_space(given: str, spaces: Mapping[str, Space]) -> Space:
    if not given.endswith(".json"):
        raise UsageError(f"--space {given}: unknown. Give {', '.join(spaces)}, or a .json file.")
    return read_space(given)


def _decisive(options: AnySearchOptions, space: Space, run: TrainRun) -> dict[str, Any]:
    """Settings that determine the trials, as JSON types."""
    searched = {name: _hash(dataclasses.asdict(domain)) for name, domain in sorted(space.items())}
    rest = {name: value for name, value in run.decisive.items() if name not in space}
    decisive = {**rest, "space": searched, "sampler": options.sampler, "scheduler": options.scheduler}
    return dict(json.loads(json.dumps(decisive)))


def _settle(options: AnySearchOptions, decisive: dict[str, Any], known: Sequence[Trial]) -> None:
    """Write the settings of the search to `search.json`; existing trials must have used the same settings.

    Raises:
        UsageError: they used other settings, or `--resume` was not given.
    """
    record = Location.at(options.out) / SEARCH
    if known:
        _check_same(options, decisive, record)
    record.write_atomic(json.dumps({"decisive": decisive}, indent=1, ensure_ascii=False).encode())


def _check_same(options: AnySearchOptions, decisive: dict[str, Any], record: Location) -> None:
    if not options.resume:
        raise UsageError(f"{options.out}: holds a search. Resume it with --resume, or choose another --out.")
    try:
        before = dict(json.loads(record.read_text())["decisive"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{record}: damaged ({error}). Choose another --out.") from error
    if differing := [key for key in decisive.keys() | before.keys() if decisive.get(key) != before.get(key)]:
        raise UsageError(
            f"{options.out}: holds a search with other settings ({', '.join(sorted(differing))}). Give the same flags "
            "as before, or choose another --out."
        )


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
