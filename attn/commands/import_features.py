"""Import of feature files in the layout of the released soft-attention code into an attention store with grids.

Features are stored as float16; the released files have float32. Ray is not used: the disk is the bottleneck.
"""

import hashlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from attn.commands.import_features_options import ImportFeaturesOptions
from attn.datasets.entries import LabelSets
from attn.datasets.features_h5 import FeatureVideos, FrameGrid, read_features, read_videos
from attn.datasets.own_list import text_of_label_sets
from attn.datasets.ucf101 import read_class_index
from attn.errors import UsageError, some
from attn.schema import FRAME, GRID, LABEL, TIME_S, TRUNCATED, VIDEO_ID
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.ledger import Ledger
from attn.storage.location import Location
from attn.storage.manifest import Manifest
from attn.storage.tensors import tensor_array
from attn.storage.writable import check_writable
from attn.storage.writer import LAST, POSITION, StoreWriter, travelling_schema

log = logging.getLogger(__name__)

MB = 1_000_000
STORE = "store"


def import_features(options: ImportFeaturesOptions) -> int:
    """Write the store and the lists of its parts; return the exit code.

    Raises:
        UsageError: a file is missing or wrong, a video is in two parts, or the store exists already.
    """
    _check(options)
    check_writable(options.out)
    ledger = Ledger.at(join(options.out, STORE))
    if ledger.finished:
        raise UsageError(f"{shown(ledger.url)}: already finished. Choose another --out.")
    parts = {part: read_videos(options.features, part) for part in options.parts}
    for part, videos in parts.items():
        if not len(videos.num_frames) or videos.num_frames.min() < 1:
            where = f"{shown(options.features)}, part {part}"
            raise UsageError(f"{where}: a video without frames, or no video. Correct the files.")
    twice = [one for one, rows in itertools.groupby(sorted(_ids(parts.values()))) if len(list(rows)) > 1]
    if twice:
        raise UsageError(f"{shown(options.features)}: {some(twice)} in more than one part. Leave out a part.")
    names = _class_names(options, parts)
    lists = {part: text_of_label_sets(_label_sets(videos, names)) for part, videos in parts.items()}
    first = next(read_features(options.features, options.parts[0], map_shape=options.map_shape))
    manifest = _manifest(options, parts, names, first.grid.shape)
    ledger.check(manifest)
    with ledger.locked():
        ledger.begin(manifest)
        _fill(options, parts, manifest, ledger)
    for part, text in lists.items():
        (Location.at(options.out) / f"{part}.csv").write_atomic(text.encode())
    count = sum(len(videos.video_ids) for videos in parts.values())
    log.info("%s: grids of %d videos, with a list of each part beside it", shown(ledger.url), count)
    return 0


def _check(options: ImportFeaturesOptions) -> None:
    if not options.parts or len(set(options.parts)) < len(options.parts):
        raise UsageError(f"--parts {' '.join(options.parts)}: empty or duplicate. Name each part once.")
    if min(options.map_shape) < 1:
        raise UsageError(f"--map-shape {options.map_shape[0]} {options.map_shape[1]}: must be at least 1 1.")
    if not 0 < options.fps < float("inf"):
        raise UsageError(f"--fps {options.fps:g}: must be above 0.")
    if options.part_mb < 1:
        raise UsageError(f"--part-mb {options.part_mb}: must be at least 1.")


def _ids(parts: Iterable[FeatureVideos]) -> Iterator[str]:
    return itertools.chain.from_iterable(videos.video_ids for videos in parts)


def _class_names(options: ImportFeaturesOptions, parts: Mapping[str, FeatureVideos]) -> tuple[str, ...]:
    """Names of the classes, of which there must be enough for all labels."""
    kinds = {videos.labels.ndim for videos in parts.values()}
    if len(kinds) > 1:
        raise UsageError(
            f"{shown(options.features)}: some parts have one class per video, others several. Import them separately."
        )
    needed = max(v.labels.shape[1] if v.labels.ndim > 1 else int(v.labels.max()) + 1 for v in parts.values())
    if options.classes is None:
        return tuple(f"class {i}" for i in range(needed))
    names = read_class_index(options.classes)
    if len(names) < needed:
        raise UsageError(f"--classes {options.classes}: {len(names)} names, but the labels need {needed}. Add names.")
    return names


def _label_sets(videos: FeatureVideos, names: Sequence[str]) -> LabelSets:
    single = videos.labels.ndim == 1
    of_each = [[label] if single else np.flatnonzero(label).tolist() for label in videos.labels.tolist()]
    return {video_id: tuple(names[i] for i in ids) for video_id, ids in zip(videos.video_ids, of_each, strict=True)}


def _manifest(
    options: ImportFeaturesOptions,
    parts: Mapping[str, FeatureVideos],
    names: tuple[str, ...],
    shape: tuple[int, ...],
) -> Manifest:
    """Manifest of the store; fields that the files do not tell, such as the normalisation of the input, are neutral."""
    told = [[part, videos.video_ids, videos.num_frames.tolist()] for part, videos in parts.items()]
    return Manifest(
        class_names=names,
        backbone=options.backbone,
        weights_sha256=hashlib.sha256(repr(told).encode()).hexdigest(),  # of the listing: the weights are unknown
        map_layer="imported features",
        alpha_reduce="mean",
        input_size=224,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        preprocessing="unknown, imported features",
        sampling={"fps": options.fps},
        precision="fp32",
        columns=(GRID,),
        num_channels=shape[0],
        map_shape=options.map_shape,
        informative={"features": options.features, "parts": list(options.parts)},
    )


def _fill(
    options: ImportFeaturesOptions, parts: Mapping[str, FeatureVideos], manifest: Manifest, ledger: Ledger
) -> None:
    writer, done = StoreWriter(ledger.url, manifest.schema, part_bytes=options.part_mb * MB), ledger.done(manifest)
    for part, videos in parts.items():
        labels = dict(zip(videos.video_ids, videos.labels, strict=True)) if videos.labels.ndim == 1 else {}
        frames = read_features(options.features, part, map_shape=options.map_shape)
        for video_id, rows in itertools.groupby(frames, key=lambda frame: frame.video_id):
            if video_id not in done:
                writer.add(_batch(manifest, video_id, labels.get(video_id), list(rows), options.fps))
    writer.flush()
    everything = ledger.done(manifest)
    counts = {"videos": len(everything), "rows": sum(everything.values()), "failed": 0}
    ledger.finish({"fingerprint": manifest.fingerprint, **counts})


def _batch(
    manifest: Manifest, video_id: str, label: int | None, rows: Sequence[FrameGrid], fps: float
) -> pa.RecordBatch:
    grids = np.stack([row.grid for row in rows])
    if not np.isfinite(grids).all() or np.abs(grids).max() > np.finfo(np.float16).max:
        raise UsageError(f"{video_id}: features that are not finite, or too large for float16. Correct the file.")
    count, positions, schema = len(rows), np.arange(len(rows), dtype=np.int32), travelling_schema(manifest.schema)
    known = {
        VIDEO_ID: [video_id] * count,
        FRAME: positions,
        TIME_S: (positions / fps).astype(np.float32),
        LABEL: [label] * count,
        POSITION: positions,
        LAST: positions == count - 1,
        TRUNCATED: np.zeros(count, bool),
    }
    arrays = [
        tensor_array(grids.astype(np.float16), field) if field.name == GRID else pa.array(known[field.name], field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
