"""List of a store's videos with the CNN's decisions, to search, filter and sort. Maps are not read for it."""

import dataclasses
import functools
import logging
import time
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from attn.engine.progress import HEARTBEAT_S
from attn.eval.fusion import confident_vote, softmax
from attn.schema import LOGITS
from attn.storage.manifest import ClipManifest
from attn.storage.random_rows import Place, read_places
from attn.storage.store import AttentionStore

log = logging.getLogger(__name__)

UNKNOWN = -1
Order = Literal["id", "least", "most"]
ORDERS = get_args(Order)


@dataclasses.dataclass(frozen=True)
class Query:
    """Wanted videos and their order.

    Attributes:
        words: words that all must be in the ID, in any case.
        predicted: class that the CNN predicts; None for any.
        labelled: class of the label; None for any.
        wrong: only videos whose label is not the predicted class.
        order: by ID, or by confidence with the least or the most confident first.
    """

    words: tuple[str, ...] = ()
    predicted: int | None = None
    labelled: int | None = None
    wrong: bool = False
    order: Order = "id"


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """All videos of a store, sorted by ID.

    Attributes:
        places: rows of each video.
        labels: class ID of each video, or UNKNOWN.
        predicted: majority class of the CNN, or UNKNOWN in a store without logits. In a clip store, the class with the
            largest mean probability.
        confidence: mean probability of that class over the frames that voted for it. In a clip store, over all clips.
    """

    places: tuple[Place, ...]
    labels: Int[np.ndarray, " video"]
    predicted: Int[np.ndarray, " video"]
    confidence: Float[np.ndarray, " video"]

    @functools.cached_property
    def positions(self) -> dict[str, int]:
        """Position of each video by ID."""
        return {place.video_id: i for i, place in enumerate(self.places)}

    def find(self, query: Query) -> Int[np.ndarray, " found"]:
        """Return the positions of the wanted videos, in the wanted order."""
        wanted = np.ones(len(self.places), bool)
        for of_videos, of_query in ((self.predicted, query.predicted), (self.labels, query.labelled)):
            if of_query is not None:
                wanted &= of_videos == of_query
        if query.wrong:
            wanted &= (self.labels != self.predicted) & (self.labels != UNKNOWN) & (self.predicted != UNKNOWN)
        found = np.flatnonzero(wanted)
        words = [word.casefold() for word in query.words]
        if words:
            found = found[[all(word in self._folded[i] for word in words) for i in found]]
        if query.order == "id":
            return found
        sign = 1 if query.order == "least" else -1
        return found[np.argsort(sign * self.confidence[found], kind="stable")]

    @functools.cached_property
    def _folded(self) -> list[str]:
        return [place.video_id.casefold() for place in self.places]


def mean_decision(logits: Float[np.ndarray, "clip cls"]) -> tuple[int, float]:
    """Return the class with the largest mean probability, and that probability."""
    means = softmax(logits).mean(0)
    return int(means.argmax()), float(means.max())


def read_catalogue(store: AttentionStore) -> Catalogue:
    """Read the list; a line every few seconds says how far.

    Raises:
        UsageError: a part is damaged.
    """
    column = LOGITS if LOGITS in store.manifest.columns else None
    decide = mean_decision if isinstance(store.manifest, ClipManifest) else confident_vote
    places, decisions, due_s = [], [], time.monotonic() + HEARTBEAT_S
    for place, logits in read_places(store, column):
        places.append(place)
        decisions.append((UNKNOWN, 0.0) if logits is None else decide(logits))
        if time.monotonic() > due_s:
            log.info("list of videos: %d of %d", len(places), len(store.video_ids))
            due_s = time.monotonic() + HEARTBEAT_S
    order = sorted(range(len(places)), key=lambda i: places[i].video_id)
    labels = [UNKNOWN if place.label is None else place.label for place in places]
    return Catalogue(
        tuple(places[i] for i in order),
        np.array([labels[i] for i in order], np.int32),
        np.array([decisions[i][0] for i in order], np.int32),
        np.array([decisions[i][1] for i in order], np.float64),
    )
