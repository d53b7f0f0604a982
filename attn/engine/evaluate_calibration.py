"""The unlabelled videos by which an evaluation calibrates: checked before any work, their statistics taken after."""

import dataclasses
import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

from attn.datasets.split import read_split
from attn.engine.evaluate_methods import calibrated_columns
from attn.engine.evaluate_options import EvaluateOptions
from attn.engine.evaluate_scores import Scored, score_videos
from attn.engine.split_check import present_videos
from attn.errors import UsageError
from attn.eval.calibration import Calibration, check_enough
from attn.stages.scoring import Scorer
from attn.storage.filesystem import absolute, storage_errors
from attn.storage.manifest import SCORE_FIELDS
from attn.storage.reasons import shown
from attn.storage.store import AttentionStore

NAME = "calibration.json"


@dataclasses.dataclass(frozen=True)
class CalibrationSource:
    """The videos of `--calibrate`.

    Attributes:
        store: that holds them.
        videos: ids of those that count.
        tested_store: whether `--store` is the same one, which is then read once.
    """

    store: AttentionStore
    videos: Set[str]
    tested_store: bool

    def fit(self, scored: Scored, methods: Sequence[Scorer]) -> dict[str, Calibration]:
        """Statistics of each method that is calibrated, by name.

        Args:
            scored: a pass over `--store`, with these videos if they are there.
            methods: of `--methods`.
        """
        if not self.tested_store:
            scored = score_videos(self.store, methods, {}, calibrating=self.videos)
        videos = sorted(self.videos)  # sums then round alike, in whatever order the parts come
        return {one.name: Calibration.fit(scored.of(one.name, videos)) for one in methods if one.calibrated}

    def record(self, tested: Set[str]) -> dict[str, Any]:
        """For the metrics: which videos, and how many of them are tested too; a video is known by its id.

        Args:
            tested: ids of the tested videos.
        """
        both = len(self.videos & tested)
        return {
            "store": {"url": self.store.url, "fingerprint": self.store.manifest.fingerprint},
            "videos": len(self.videos),
            "tested_videos": both,
            "transductive": both > 0,
        }

    def file(self, calibrations: Mapping[str, Calibration]) -> bytes:
        """`calibration.json`."""
        told = {
            "fingerprint": self.store.manifest.fingerprint,
            "class_names": self.store.manifest.class_names,
            "methods": {name: calibration.as_record() for name, calibration in calibrations.items()},
        }
        return json.dumps(told, indent=1, ensure_ascii=False).encode()


def open_calibration(options: EvaluateOptions, store: AttentionStore) -> CalibrationSource | None:
    """Store and videos that `--calibrate` names; None without it.

    Args:
        options: flags.
        store: of `--store`.

    Raises:
        UsageError: the store is of another CNN, or lacks columns or videos; no method is calibrated.
    """
    url = options.calibrate
    if url is None:
        if options.calibrate_lists:
            raise UsageError("--calibrate-lists: there is no --calibrate. Name the store whose videos the lists name.")
        return None
    if options.model is not None:
        raise UsageError("--calibrate: --model brings its own calibration. Leave out one of the two.")
    columns = calibrated_columns(options.methods)
    if not columns:
        raise UsageError(
            f"--methods {' '.join(options.methods)}: no calibrated scores. Add cnn, unatt or energynet, or leave out "
            "--calibrate."
        )
    same = absolute(url).rstrip("/") == absolute(options.store).rstrip("/")
    with storage_errors(url):
        other = store if same else AttentionStore.open(url, allow_partial=options.allow_partial)
        found = set(other.video_ids)
    if difference := other.manifest.difference(store.manifest, only=SCORE_FIELDS):
        raise UsageError(
            f"--calibrate {shown(url)}: does not fit --store {shown(options.store)} ({difference}). Precompute both "
            "with the same CNN and settings."
        )
    other.check_columns(columns)
    videos = _listed(options, found) if options.calibrate_lists else found
    check_enough(len(videos), len(store.manifest.class_names), where=f"--calibrate {shown(url)}")
    return CalibrationSource(other, videos, same)


def _listed(options: EvaluateOptions, found: Set[str]) -> Set[str]:
    """Videos that one of `--calibrate-lists` names. Missing ones are left out: a mean over the others will do."""
    named: set[str] = set()
    for url in options.calibrate_lists:
        split = read_split(url, part="train", present=found)
        named |= present_videos(split, found, store=options.calibrate or "", where=url, allow_missing=True).keys()
    return named
