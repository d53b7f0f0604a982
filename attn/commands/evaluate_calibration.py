"""Calibration of an evaluation on unlabelled videos: checks before any work, statistics afterwards."""

import dataclasses
import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

from attn.commands.evaluate_methods import Scoring
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.evaluate_scores import Scored, score_videos
from attn.commands.split_check import present_videos
from attn.datasets.split import read_label_sets
from attn.errors import UsageError
from attn.eval.calibration import Calibration, check_enough
from attn.methods import CHOICES, METHODS, with_variants
from attn.stages.scoring import Scorer
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location
from attn.storage.manifest import SCORE_FIELDS
from attn.storage.store import AttentionStore

NAME = "calibration.json"


@dataclasses.dataclass(frozen=True)
class CalibrationSource:
    """Videos of `--calibrate`.

    Attributes:
        store: store that contains the videos.
        videos: IDs of the videos to calibrate on.
        tested_store: whether `--store` is the same store, which is then read only once.
    """

    store: AttentionStore
    videos: Set[str]
    tested_store: bool

    def fit(self, scored: Scored, methods: Sequence[Scorer]) -> dict[str, Calibration]:
        """Return calibration statistics by method name.

        Args:
            scored: results of the pass over `--store`; includes the calibration videos if the stores are the same.
            methods: scorers of `--methods`; those without calibration are skipped.
        """
        if not self.tested_store:
            scored = score_videos(self.store, methods, {}, calibrating=self.videos)
        videos = sorted(self.videos)  # sums then round identically for any order of parts
        return {one.name: Calibration.fit(scored.of(one.name, videos)) for one in methods if one.calibrated}

    def record(self, tested: Set[str]) -> dict[str, Any]:
        """Return the record for the metrics: store, number of videos, and overlap with the tested videos.

        Args:
            tested: IDs of the tested videos.
        """
        both = len(self.videos & tested)
        return {
            "store": {"url": self.store.url, "fingerprint": self.store.manifest.fingerprint},
            "videos": len(self.videos),
            "tested_videos": both,
            "transductive": both > 0,
        }

    def file(self, calibrations: Mapping[str, Calibration], class_names: Sequence[str]) -> bytes:
        """Return the content of `calibration.json` for scores of the given classes."""
        content = {
            "fingerprint": self.store.manifest.fingerprint,
            "class_names": class_names,
            "methods": {name: calibration.as_record() for name, calibration in calibrations.items()},
        }
        return json.dumps(content, indent=1, ensure_ascii=False).encode()


def open_calibration(options: EvaluateOptions, store: AttentionStore, scoring: Scoring) -> CalibrationSource | None:
    """Open the store and select the videos of `--calibrate`; None without the flag.

    Args:
        options: flags of the evaluation.
        store: store of `--store`.
        scoring: scorers of the evaluation.

    Raises:
        UsageError: the store was made with another CNN, lacks columns or has too few videos; or none of the methods
            can be calibrated.
    """
    url = options.calibrate
    if url is None:
        if options.calibrate_lists:
            raise UsageError(
                "--calibrate-lists: requires --calibrate. Give --calibrate the store of the listed videos."
            )
        return None
    columns = [name for scorer in scoring.scorers if scorer.calibrated for name in scorer.columns]
    if not columns:
        raise _cannot_be_calibrated(options)
    same = Location.at(url).absolute.rstrip("/") == Location.at(options.store).absolute.rstrip("/")
    with storage_errors(url):
        other = store if same else AttentionStore.open(url, allow_partial=options.allow_partial)
        found = set(other.video_ids)
    if difference := other.manifest.difference(store.manifest, only=SCORE_FIELDS):
        raise UsageError(
            f"--calibrate {shown(url)}: does not fit --store {shown(options.store)} ({difference}). Precompute both "
            "with the same CNN and settings."
        )
    other.check_columns(dict.fromkeys(columns))
    videos = _named(options, options.calibrate_lists, found) if options.calibrate_lists else found
    if options.train_split is not None:
        videos = videos - _named(options, (options.train_split,), found)
    check_enough(len(videos), len(scoring.class_names), where=f"--calibrate {shown(url)}")
    return CalibrationSource(other, videos, same)


def _cannot_be_calibrated(options: EvaluateOptions) -> UsageError:
    if options.model:
        return UsageError("--calibrate: --model has its own calibration. Leave out one of the two.")
    *first, last = (name for name in CHOICES if any(METHODS[one].calibrated for one in with_variants(name)))
    return UsageError(
        f"--methods {' '.join(options.chosen_methods)}: cannot be calibrated. Add {', '.join(first)} or {last}, or "
        "leave out --calibrate."
    )


def _named(options: EvaluateOptions, lists: Sequence[str], found: Set[str]) -> Set[str]:
    """IDs of videos in at least one of the lists. Missing videos are skipped: they hardly change a mean."""
    named: set[str] = set()
    for url in lists:
        split = read_label_sets(url, part="train", present=found)
        named |= present_videos(split, found, store=options.calibrate or "", where=url, allow_missing=True).keys()
    return named
