"""Initial network and training videos of a CNN of optical flow, from a flow store."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from attn.classes import class_ids
from attn.commands.holdout import holdout_record, kept_together
from attn.commands.split_check import present_videos
from attn.commands.training_videos import TrainingVideosRecord, check_classes, record_of
from attn.datasets.fractions import hold_out_videos, take_fraction
from attn.datasets.split import read_recordings, read_split
from attn.errors import UsageError
from attn.models.checkpoint import Cnn, check_input_size, cross_modality, load_weights, untrained_flow_cnn
from attn.models.flow_input import FlowInput
from attn.stages.flow.stacks import LENGTH
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.parts import PartVideos
from attn.storage.store import FlowStore
from attn.training.cnn_options import TrainCnnOptions
from attn.training.pictures import FlowStacks
from attn.training.run import RUN, TrainRun, digest


class FlowVideos(NamedTuple):
    """Training videos in a flow store.

    Attributes:
        stacks: stacks of their flow.
        decisive: entries of `decisive` for them; independent of the URL of the store.
        record: record of the training and held-out videos.
    """

    stacks: FlowStacks
    decisive: Mapping[str, Any]
    record: TrainingVideosRecord


def open_flow(url: str) -> FlowStore:
    """Open the flow store of a training; raises UsageError if it is missing or not finished."""
    with storage_errors(url):
        return FlowStore.open(url)


class StartFlow(NamedTuple):
    """Initial network of optical flow.

    Attributes:
        cnn: network.
        flow: its input.
        crossed: whether it begins with the weights of a CNN of images.
    """

    cnn: Cnn
    flow: FlowInput
    crossed: bool


def start_flow_cnn(options: TrainCnnOptions, class_names: tuple[str, ...], store: FlowStore) -> StartFlow:
    """Return the initial network of optical flow; random weights depend only on the seed.

    Raises:
        UsageError: as `start_cnn` of `train_cnn_plan`; or the weights are of another kind of flow, or of stacks of
            another length.
    """
    flow, url, crossed = FlowInput.of(store.manifest, options.flow_stack or LENGTH), options.weights, False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        if url is None:
            cnn = untrained_flow_cnn(options.backbone, class_names, flow)
        else:
            cnn = load_weights(url, options.backbone, class_names, new_classifier=True, of_flow=True)
            if cnn.flow is None:
                cnn, crossed = cross_modality(cnn, flow), True
            else:
                flow = _same_flow(options, store, cnn.flow, url)
    check_input_size(cnn)
    return StartFlow(cnn, flow, crossed)


def _same_flow(options: TrainCnnOptions, store: FlowStore, flow: FlowInput, weights: str) -> FlowInput:
    """Input of a CNN that has learnt from flow before, if it is that of the training."""
    flow.check(store.manifest, store=store.url, weights=weights)
    if options.flow_stack not in (None, flow.length):
        raise UsageError(
            f"--flow-stack {options.flow_stack}: {shown(weights)} takes stacks of {flow.length}. Leave it out."
        )
    return flow


def find_flow_videos(
    options: TrainCnnOptions, class_names: tuple[str, ...], store: FlowStore, length: int
) -> FlowVideos:
    """Find the videos of the split list, or of a fraction of it, in a flow store.

    Args:
        options: options with `flow` and `split`.
        class_names: class names, in the order of the outputs.
        store: flow store.
        length: number of flows in a stack.

    Raises:
        UsageError: videos are missing, or a class has none.
    """
    where = str(options.split)
    num_frames = store.num_frames
    split = read_split(where, class_names, part="train", present=list(num_frames))
    present = present_videos(
        take_fraction(split, options.fraction, seed=options.seed),
        num_frames,
        store=store.url,
        where=where,
        allow_missing=options.allow_missing,
        way_out="compute their flow",
    )
    check_classes(present, present, class_names, where)
    begun = (TrainRun(options.out, {}).read(RUN) or {}).get("decisive", {})
    recording_of = kept_together(read_recordings(where, split, part="train"), present, begun)
    held = hold_out_videos(present, options.validation_fraction or 0, seed=options.seed, group_of=recording_of)
    ids = class_ids(class_names)
    stacks = FlowStacks(
        url=store.folder.absolute,
        parts=[
            PartVideos(part.path, {one: rows for one, rows in part.rows.items() if one in present})
            for part in store.parts
        ],
        video_labels={video_id: ids[name] for video_id, name in present.items()},
        held=frozenset(held),
        length=length,
    )
    decisive = {
        "flow": store.manifest.fingerprint,
        "flow_stack": length,
        "videos": digest(sorted((video_id, num_frames[video_id], name) for video_id, name in present.items())),
        "fraction": options.fraction,
        **holdout_record(recording_of),
    }
    return FlowVideos(stacks, decisive, record_of(options, stacks, {}))
