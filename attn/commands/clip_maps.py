"""Attention maps of clips: compared with boxes of the action while videos are scored, and as tracks of overlays."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from attn.commands.evaluate_boxes import BoxShares
from attn.errors import UsageError
from attn.eval.fusion import softmax
from attn.report.class_track import ClassTrack, VideoTracks
from attn.schema import ATTENTION
from attn.stages.scoring import Named, Scorer
from attn.storage.manifest import ClipManifest, Manifest
from attn.storage.store import AttentionStore, VideoRows
from attn.video.transform import Resampling


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
    check_mapped(manifest, "--boxes")
    first, *others = scorers
    return (WithClipMaps(first, first.name, manifest, boxes), *others)


def check_mapped(manifest: ClipManifest, flag: str) -> None:
    """Check that clips have attention maps of known frames.

    Raises:
        UsageError: they do not; the message names the flag.
    """
    if not manifest.map_names:
        raise UsageError(f"{flag}: the network has no attention maps. Leave it out.")
    if "stride" not in manifest.sampling:
        raise UsageError(f"{flag}: needs clips that were sampled with a stride, whose frames are known. Leave it out.")


def clip_tracks(
    rows: VideoRows,
    manifest: ClipManifest,
    classes: Sequence[tuple[str, float, int]],
    resampling: Resampling,
    rate: float,
) -> VideoTracks:
    """Probabilities of classes over time, and the first attention map, which does not depend on the class.

    Args:
        rows: clips of a video, with logits and attention.
        manifest: manifest of the clips.
        classes: name, score of the video and number of each class, the predicted one first.
        resampling: part of a frame that the maps cover.
        rate: frames per second, for a video of a single clip; otherwise the times of the clips give it.
    """
    first, apart = rows.frame[0], rows.frame[-1] - rows.frame[0]
    frame_s = float(rows.time_s[-1] - rows.time_s[0]) / apart if apart else 1 / rate
    frames, time = frames_of_steps(manifest, rows.frame), manifest.map_time
    maps = rows.tensors[ATTENTION][:, 0].astype(np.float32)
    probabilities = softmax(rows.logits).repeat(time, axis=0)
    tracks = tuple(
        ClassTrack(name, score, probabilities[:, number], None if place else maps.reshape(-1, *maps.shape[2:]))
        for place, (name, score, number) in enumerate(classes)
    )
    times = rows.time_s[0] + frame_s * (frames - first)
    return VideoTracks(rows.video_id, frames, times, tracks, resampling, "probability of the class")
