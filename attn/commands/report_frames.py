"""Frames that a CNN gets wrong and attention right, found in an attention store and read from their videos."""

import dataclasses
import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from attn.commands.report_options import ReportOptions
from attn.commands.store_videos import sampling_of, videos_of
from attn.errors import UsageError, VideoError
from attn.report.page_blocks import Note, Piece, Table
from attn.report.page_pictures import SIDE_PX, Mistake, show_mistakes
from attn.schema import LOGITS, MAPS
from attn.stages.scoring import FRAMES_AT_ONCE
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.manifest import Manifest
from attn.storage.store import AttentionStore, VideoRows
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video, open_video
from attn.video.transform import Resampling
from attn.window_energy import window_energy

log = logging.getLogger(__name__)

TITLE = "Frames that the CNN gets wrong and attention right"
CHOSEN = (
    "Attention of a class is the largest sum in any window of its raw map, as in UnAtt. These are, for each class in "
    "turn, the frames in which the true class leads most over the CNN's class, one per video: the clearest cases, not "
    "typical ones. The two maps of a frame share one colour scale."
)


@dataclasses.dataclass(frozen=True)
class _Lead:
    """Frame with its index in the source, and the relative lead of the true class's energy over the other."""

    lead: float
    frame: int
    mistake: Mistake

    def __lt__(self, other: "_Lead") -> bool:
        return (self.lead, other.mistake.video_id) < (other.lead, self.mistake.video_id)


@dataclasses.dataclass(frozen=True)
class FrameSearch:
    """Search for frames in the store of an evaluation.

    Attributes:
        url: URL of the store.
        fingerprint: fingerprint of the store when it was evaluated; None if unknown.
        labels: class ID of each test video.
        window: side of the window of UnAtt, in map cells.
        label: name of the CNN in lists; empty if there is only one.
    """

    url: str
    fingerprint: str | None
    labels: Mapping[str, int]
    window: int
    label: str = ""

    def pieces(self, options: ReportOptions) -> Iterator[Piece]:
        """Yield the frames and counts of all frames, or a note that says why there are none."""
        try:
            store = self._open()
            counts, leads = self._search(store)
        except UsageError as error:
            log.warning("frames left out: %s", error)
            yield Piece("frames", Note(f"Left out: {error}"), self.label)
            return
        chosen = _in_turn(leads, options.examples)
        yield Piece("frames", _counted(counts), self.label)
        if not chosen:
            yield Piece("frames", Note("In no frame is the CNN wrong and attention right."), self.label)
            return
        mistakes, why_not = _with_images(store, chosen, options.videos)
        if why_not:
            log.warning("frames without pictures: %s", why_not)
            maps_only = sum(one.image is None for one in mistakes)
            note = f"{maps_only} of {len(mistakes)} frames have maps only: {why_not}"
            yield Piece("frames", Note(note), self.label)
        yield Piece("frames", Note(CHOSEN), self.label)
        yield Piece("frames", show_mistakes(mistakes, f"frames.{self.label}", TITLE), self.label)

    def _open(self) -> AttentionStore:
        with storage_errors(self.url):
            store = AttentionStore.open(self.url, allow_partial=True)
        if self.fingerprint not in (None, store.manifest.fingerprint):
            raise UsageError(f"{shown(self.url)}: made again since the evaluation. Evaluate again.")
        store.check_columns([LOGITS, MAPS])
        return store

    def _search(self, store: AttentionStore) -> tuple[Counter[tuple[bool, bool]], dict[int, list[_Lead]]]:
        """Return numbers of frames by who is right, CNN and attention, and the best frame of each video by class."""
        counts, leads = Counter[tuple[bool, bool]](), dict[int, list[_Lead]]()
        names = store.manifest.class_names
        with storage_errors(self.url):
            for rows in store.videos([LOGITS, MAPS]):
                if (label := self.labels.get(rows.video_id)) is None:
                    continue
                said, energies = rows.logits.argmax(axis=1), self._energies(rows)
                pairs = zip((said == label).tolist(), (energies.argmax(axis=1) == label).tolist(), strict=True)
                counts.update(pairs)
                if (best := _best(rows, label, said, energies, names)) is not None:
                    leads.setdefault(label, []).append(best)
        return counts, leads

    def _energies(self, rows: VideoRows) -> np.ndarray:
        chunks = (rows.maps[i : i + FRAMES_AT_ONCE] for i in range(0, len(rows.maps), FRAMES_AT_ONCE))
        return np.concatenate([window_energy(torch.tensor(one), window=self.window).numpy() for one in chunks])


def _best(rows: VideoRows, label: int, said: np.ndarray, energies: np.ndarray, names: Sequence[str]) -> _Lead | None:
    """Frame of a video in which only attention is right, by the largest lead; None if there is none."""
    true, other = energies[:, label], np.take_along_axis(energies, said[:, None], axis=1)[:, 0]
    wanted = (said != label) & (energies.argmax(axis=1) == label) & (true > 0)
    if not wanted.any():
        return None
    lead = np.where(wanted, (true - other) / np.where(true > 0, true, 1), -np.inf)
    at = int(lead.argmax())
    maps = rows.maps[at].astype(np.float32)
    mistake = Mistake(
        *(rows.video_id, float(rows.time_s[at]), names[int(said[at])], names[label], maps[said[at]], maps[label]),
        *(float(other[at]), float(true[at])),
    )
    return _Lead(float(lead[at]), int(rows.frame[at]), mistake)


def _in_turn(leads: Mapping[int, Sequence[_Lead]], most: int) -> list[_Lead]:
    """At most `most` frames: the best of each class in turn, then the second best."""
    ranked = [heapq.nlargest(most, leads[label]) for label in sorted(leads)]
    rounds = itertools.zip_longest(*ranked)
    return [one for one in itertools.chain.from_iterable(rounds) if one is not None][:most]


def _counted(counts: Mapping[tuple[bool, bool], int]) -> Table:
    total, words = sum(counts.values()) or 1, {True: "right", False: "wrong"}
    rows = [
        [words[cnn], words[attention], str(found := counts.get((cnn, attention), 0)), f"{100 * found / total:.1f}"]
        for cnn, attention in itertools.product(words, words)
    ]
    return Table(["CNN", "attention", "frames", "%"], rows, "Single frames of all test videos")


def _with_images(store: AttentionStore, chosen: Sequence[_Lead], videos: str | None) -> tuple[list[Mistake], str]:
    """Add the pixels of each frame. Frames of unreadable videos stay without; the reason is returned."""
    try:
        known = videos_of(store, videos)
    except UsageError as error:
        return [one.mistake for one in chosen], str(error)
    found, why_not = [], ""
    with FrameReader() as reader:
        for one in chosen:
            try:
                image = _read(known.get(one.mistake.video_id), one.frame, reader, store.manifest)
                found.append(one.mistake._replace(image=image))
            except VideoError as error:
                found.append(one.mistake)
                why_not = why_not or str(error)
    return found, why_not


def _read(video: Video | None, frame: int, reader: FrameReader, manifest: Manifest) -> np.ndarray:
    if video is None:
        raise VideoError("a video of the store is not among the videos.")
    with open_video(video) as path:
        seen = Resampling.parse(manifest.preprocessing)
        for chunk in reader.read(path, sampling_of(manifest), SIDE_PX, resampling=seen):
            if frame in chunk.index:
                return chunk.images[chunk.index.tolist().index(frame)].copy()
    raise VideoError(f"{video.where}: has no frame {frame} any more.")
