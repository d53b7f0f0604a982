"""Attention maps of a clip store, compared with boxes of the action while its videos are scored."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from attn.commands.evaluate_boxes import BoxShares
from attn.errors import UsageError
from attn.schema import ATTENTION
from attn.stages.scoring import Named, Scorer
from attn.storage.manifest import ClipManifest, Manifest
from attn.storage.store import AttentionStore, VideoRows


@dataclasses.dataclass(frozen=True)
class WithClipMaps(Named):
    """Scores of another method, which also compares the attention maps of the clips with boxes.

    Args:
        manifest: manifest of the clip store.
        boxes: boxes of the action.
    """

    manifest: ClipManifest
    boxes: BoxShares

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.scorer.columns, ATTENTION)

    def __call__(self, rows: VideoRows) -> np.ndarray:
        maps = rows.tensors[ATTENTION].astype(np.float32)
        steps = dataclasses.replace(rows, frame=frames_of_steps(self.manifest, rows.frame))
        for number, name in enumerate(self.manifest.map_names):
            self.boxes.add(name, steps, maps[:, number].reshape(-1, *maps.shape[3:]))
        return self.scorer(rows)


def frames_of_steps(manifest: ClipManifest, first: Int[np.ndarray, "clip"]) -> Int[np.ndarray, "step"]:
    """Frame in the middle of each time step of the maps of clips, as index in the source.

    Args:
        manifest: manifest of the clip store, whose frames are sampled with a stride.
        first: index of the first frame of each clip.
    """
    length, time = manifest.clip["length"], manifest.map_time
    middle = (np.arange(time) + 0.5) * length // time
    return (first[:, None] + manifest.sampling["stride"] * manifest.clip["step"] * middle).astype(np.int64).ravel()


def clip_manifest(manifest: Manifest) -> ClipManifest | None:
    """Manifest of a store, if its rows are clips."""
    return manifest if isinstance(manifest, ClipManifest) else None


def with_clip_maps(scorers: Sequence[Scorer], store: AttentionStore, boxes: BoxShares) -> tuple[Scorer, ...]:
    """Scorers, of which the first also compares the maps of a clip store with boxes.

    Raises:
        UsageError: the store has no maps, or the frames of their time steps are unknown.
    """
    manifest = clip_manifest(store.manifest)
    if manifest is None:
        return tuple(scorers)
    if ATTENTION not in manifest.columns:
        raise UsageError(f"--boxes: {store.url} lacks attention. Run precompute with --columns logits attention.")
    if "stride" not in manifest.sampling:
        raise UsageError("--boxes: needs clips that were sampled with a stride, whose frames are known. Leave it out.")
    first, *others = scorers
    return (WithClipMaps(first, first.name, manifest, boxes), *others)
