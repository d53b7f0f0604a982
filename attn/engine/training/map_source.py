"""The stores whose maps an EnergyNet is learnt from: the one it will score, or others that were made out of fold.

On a video that its CNN was fine-tuned on, the true class stands out more than on a test video, and an EnergyNet may
come to expect that. Maps of CNNs that have not seen the video are no better than those of a test video; the price is
one more fine-tuned CNN and store per fold. Each of these CNNs has learnt from fewer videos, and none is the one whose
maps are scored in the end.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal

from attn.datasets.split import SplitList
from attn.engine.options import TrainEnergyNetOptions
from attn.engine.split_check import present_videos
from attn.errors import UsageError, some
from attn.schema import MAPS
from attn.storage.error_messages import shown
from attn.storage.filesystem import absolute, storage_errors
from attn.storage.store import AttentionStore

# What maps must have in common to be learnt from as if one CNN had made them.
COMPARED = (
    *("class_names", "map_shape", "map_layer", "alpha_reduce"),
    *("preprocessing", "sampling", "input_size"),
)


@dataclasses.dataclass(frozen=True)
class MapSource:
    """Where the maps of a training come from.

    Attributes:
        name: whether the CNN whose maps are scored made them, or CNNs that were not fine-tuned on their videos.
        stores: that hold them.
    """

    name: Literal["same_cnn", "out_of_fold"]
    stores: tuple[AttentionStore, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        """URLs of the stores, absolute."""
        return tuple(absolute(store.url) for store in self.stores)

    @property
    def record(self) -> dict[str, Any]:
        """Entries of a report about it."""
        return {
            "map_source": self.name,
            "map_fingerprints": sorted({store.manifest.fingerprint for store in self.stores}),
        }

    @functools.cached_property
    def num_frames(self) -> Mapping[str, int]:
        """Kept frames of all videos of the stores."""
        return {v: rows for store in self.stores for part in store.parts for v, rows in part.rows.items()}

    def videos(self, listed: SplitList, options: TrainEnergyNetOptions) -> SplitList:
        """The listed videos that are there.

        Raises:
            UsageError: videos are missing, or have maps in two stores.
        """
        first: dict[str, AttentionStore] = {}
        for store in self.stores:
            if twice := sorted(listed.keys() & first.keys() & set(store.video_ids)):
                other = first[twice[0]]
                raise UsageError(
                    f"--out-of-fold: {shown(other.url)} and {shown(store.url)} both hold {some(twice)}; "
                    "leave out the one whose CNN was fine-tuned on them"
                )
            first |= dict.fromkeys(store.video_ids, store)
        return present_videos(
            listed,
            self.num_frames,
            store=" + ".join(store.url for store in self.stores),
            where=options.split,
            allow_missing=options.allow_missing,
        )

    def by_fingerprint(self, videos: set[str]) -> dict[str, list[str]]:
        """Which of the videos the CNN of each fingerprint has made the maps of, in an order of their own."""
        found: dict[str, list[str]] = {}
        for store in self.stores:
            found.setdefault(store.manifest.fingerprint, []).extend(videos & set(store.video_ids))
        return {fingerprint: sorted(found[fingerprint]) for fingerprint in sorted(found)}


def open_map_source(options: TrainEnergyNetOptions, store: AttentionStore) -> MapSource:
    """The stores that the flags name.

    Args:
        options: flags.
        store: of `--store`.

    Raises:
        UsageError: no such store, or one whose maps do not stand for those of `--store`.
    """
    _check_maps(store, "")
    if not options.out_of_fold:
        return MapSource("same_cnn", (store,))
    stores = tuple(_opened(url, options) for url in options.out_of_fold)
    for other in stores:
        _check_fits(other, store)
    return MapSource("out_of_fold", stores)


def _opened(url: str, options: TrainEnergyNetOptions) -> AttentionStore:
    with storage_errors(url):
        store = AttentionStore.open(url, allow_partial=options.allow_partial)
        _ = store.parts  # read here, where an error of the storage gets its line
    return store


def _check_fits(other: AttentionStore, store: AttentionStore) -> None:
    where = f"--out-of-fold {shown(other.url)}"
    if difference := other.manifest.difference(store.manifest, only=COMPARED):
        raise UsageError(
            f"{where} does not fit --store {shown(store.url)} ({difference}); precompute both with the same settings"
        )
    _check_maps(other, "--out-of-fold ")
    if other.manifest.weights_sha256 == store.manifest.weights_sha256:
        raise UsageError(
            f"{where} was made by the CNN of --store {shown(store.url)}; name stores of CNNs that were not fine-tuned "
            "on the videos they hold, or leave out --out-of-fold"
        )


def _check_maps(store: AttentionStore, flag: str) -> None:
    if MAPS not in store.manifest.columns:
        raise UsageError(f"{flag}{shown(store.url)} holds no maps; precompute again with --columns maps logits")
