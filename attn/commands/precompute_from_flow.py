"""Plan of precompute on a flow store: a CNN of optical flow computes the rows of an attention store."""

import logging
from collections.abc import Mapping, Sequence

from attn.classes import class_ids
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.split_check import present_videos
from attn.datasets.split import read_label_sets
from attn.errors import UsageError
from attn.models.checkpoint import Cnn
from attn.models.flow_input import FlowInput
from attn.stages.read_flow import ReadFlow, flow_videos, num_frames_of
from attn.storage.filesystem import storage_errors
from attn.storage.store import FlowStore
from attn.video.sample import sampling_of
from attn.video.source import Video

log = logging.getLogger(__name__)

NOT_OF_FLOW = ("videos", "labels", "stride", "fps", "decoder", "decode_timeout_s", "mean", "std", "input_size")


def open_flow_store(options: PrecomputeOptions) -> FlowStore:
    """Open the store of `--flow`.

    Raises:
        UsageError: the store is missing or not finished, or a flag of videos was given with it.
    """
    for name in NOT_OF_FLOW:
        if getattr(options, name) != getattr(PrecomputeOptions, name, None):
            raise UsageError(f"--{name.replace('_', '-')}: does not apply to --flow. Leave it out.")
    with storage_errors(str(options.flow)):
        return FlowStore.open(str(options.flow))


def check_flow_cnn(options: PrecomputeOptions, cnn: Cnn, store: FlowStore) -> FlowInput:
    """Return the input of a CNN that has learnt from such flow.

    Raises:
        UsageError: it takes images, or has learnt from flow of another kind.
    """
    if cnn.flow is None:
        raise UsageError(f"{options.weights}: a CNN of images. Give one of `train_cnn --modality flow`, or --videos.")
    cnn.flow.check(store.manifest, store=store.url, weights=options.weights)
    return cnn.flow


def listed_flow_videos(options: PrecomputeOptions, class_names: Sequence[str], store: FlowStore) -> list[Video]:
    """Return the videos to process: those of the lists, or all.

    A video's label is its class in a list, if it is a single one, and one of the network's.

    Raises:
        UsageError: a list names none of the videos.
    """
    ids = class_ids(class_names)
    labels: dict[str, int | None] = {} if options.lists else dict.fromkeys(store.video_ids)
    for url in options.lists:
        split = read_label_sets(url, part="both", present=store.video_ids)
        present = present_videos(split, store.video_ids, store=store.url, where=url, allow_missing=True)
        labels |= {video_id: _label(names, ids) for video_id, names in present.items()}
    return flow_videos(store, labels)


def _label(names: tuple[str, ...], ids: Mapping[str, int]) -> int | None:
    return ids.get(names[0]) if len(names) == 1 else None


def flow_stage(options: PrecomputeOptions, videos: list[Video], store: FlowStore, flow: FlowInput) -> ReadFlow:
    """Return the stage that reads the stacks of videos."""
    return ReadFlow(
        sampling_of(store.manifest.sampling),
        store.manifest.input_size,
        options.batch_size,
        store=store.folder.absolute,
        num_frames=num_frames_of(videos, store),
        length=flow.length,
    )
