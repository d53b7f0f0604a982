"""Source of the training maps of an EnergyNet: the store that it will score, or out-of-fold stores.

On videos that a CNN was fine-tuned on, the true class stands out more than on test videos, and an EnergyNet may overfit
to that. Out-of-fold maps come from CNNs that were not fine-tuned on the video, as for test videos. The price is one
more fine-tuned CNN and store per fold. Each of these CNNs was trained on fewer videos, and none of them makes the maps
that are scored in the end.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, Literal

from attn.commands.split_check import present_videos
from attn.datasets.split import SplitList
from attn.errors import UsageError, some
from attn.schema import MAPS
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.store import AttentionStore
from attn.training.energynet_options import TrainEnergyNetOptions

# Manifest fields that must be equal so that maps of several CNNs can be used together.
COMPARED = (
    *("class_names", "map_shape", "map_layer", "alpha_reduce", "map_kind"),
    *("preprocessing", "sampling", "input_size"),
)


@dataclasses.dataclass(frozen=True)
class MapSource:
    """Source of the training maps.

    Attributes:
        name: `same_cnn` for maps of the CNN whose maps are scored; `out_of_fold` for maps of CNNs that were not
            fine-tuned on these videos.
        stores: stores of the maps.
    """

    name: Literal["same_cnn", "out_of_fold"]
    stores: tuple[AttentionStore, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        """Absolute URLs of the stores."""
        return tuple(store.folder.absolute for store in self.stores)

    @property
    def record(self) -> dict[str, Any]:
        """Entries for the report."""
        return {
            "map_source": self.name,
            "map_fingerprints": sorted({store.manifest.fingerprint for store in self.stores}),
        }

    @functools.cached_property
    def num_frames(self) -> Mapping[str, int]:
        """Number of kept frames of each video in the stores."""
        return {v: rows for store in self.stores for part in store.parts for v, rows in part.rows.items()}

    def videos(self, listed: SplitList, options: TrainEnergyNetOptions) -> SplitList:
        """Return the listed videos that the stores contain.

        Raises:
            UsageError: videos are missing, or are in two stores.
        """
        first: dict[str, AttentionStore] = {}
        for store in self.stores:
            if twice := sorted(listed.keys() & first.keys() & set(store.video_ids)):
                other = first[twice[0]]
                raise UsageError(
                    f"--out-of-fold: {shown(other.url)} and {shown(store.url)} both contain {some(twice)}. "
                    "Leave out the store whose CNN was fine-tuned on them."
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
        """Return fingerprint → videos whose maps were made with it, both sorted."""
        found: dict[str, list[str]] = {}
        for store in self.stores:
            found.setdefault(store.manifest.fingerprint, []).extend(videos & set(store.video_ids))
        return {fingerprint: sorted(found[fingerprint]) for fingerprint in sorted(found)}


def open_map_source(options: TrainEnergyNetOptions, store: AttentionStore) -> MapSource:
    """Open the stores of the training maps.

    Args:
        options: command-line options.
        store: store of `--store`.

    Raises:
        UsageError: a store does not exist, contains no maps, or was made with other settings than `--store`.
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
        _ = store.parts  # read here, so that a storage error becomes a message
    return store


def _check_fits(other: AttentionStore, store: AttentionStore) -> None:
    where = f"--out-of-fold {shown(other.url)}"
    if difference := other.manifest.difference(store.manifest, only=COMPARED):
        raise UsageError(
            f"{where}: does not match --store {shown(store.url)} ({difference}). Precompute both with the same "
            "settings."
        )
    _check_maps(other, "--out-of-fold ")
    if other.manifest.weights_sha256 == store.manifest.weights_sha256:
        raise UsageError(
            f"{where}: made by the CNN of --store {shown(store.url)}. Give stores of CNNs that were not fine-tuned on "
            "their videos, or leave out --out-of-fold."
        )


def _check_maps(store: AttentionStore, flag: str) -> None:
    if MAPS not in store.manifest.columns:
        raise UsageError(f"{flag}{shown(store.url)}: contains no maps. Precompute it again with --columns maps logits.")
