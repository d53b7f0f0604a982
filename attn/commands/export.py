"""Export of a store to files that other programs read; one video is in memory at a time.

npy    <out>/<video_id>_<column>.npy [frame, …], <out>/<video_id>_timestamps_ms.npy [frame]
csv    <out>/frames.csv               video_id, label, frame, time_s, then a logit per class
h5     <out>/<part>_features.h5, …    see `attn.datasets.features_h5`
fiftyone                              see `attn.commands.export_fiftyone`
"""

import csv
import io
import logging
from collections.abc import Callable, Collection, Iterator

import numpy as np

from attn.classes import class_ids, class_mask
from attn.commands.export_options import ExportOptions
from attn.commands.split_check import present_videos
from attn.datasets.entries import LabelSets
from attn.datasets.features_h5 import FeatureVideo, write_features
from attn.datasets.split import classes_of_list, read_label_sets
from attn.errors import UsageError
from attn.schema import GRID, LOGITS, MAPS
from attn.storage.error_messages import shown
from attn.storage.filesystem import storage_errors
from attn.storage.location import Location
from attn.storage.store import AttentionStore, VideoRows
from attn.storage.writable import check_results_folder

log = logging.getLogger(__name__)

TIMES, FRAMES = "timestamps_ms", "frames.csv"


def export(options: ExportOptions) -> int:
    """Write the files and return the exit code.

    Raises:
        UsageError: the store or the list is invalid, or the store lacks a column; nothing was written.
    """
    check_results_folder(options.out)
    with storage_errors(options.store):
        store = AttentionStore.open(options.store, allow_partial=options.allow_partial)
        video_ids = store.video_ids
    if options.columns is not None and options.to != "npy":
        raise UsageError(f"--columns: not used with --to {options.to}. Leave it out.")
    if options.videos is not None and options.to != "fiftyone":
        raise UsageError(f"--videos: not used with --to {options.to}. Leave it out.")
    columns = {"csv": (LOGITS,), "h5": (GRID,), "fiftyone": (LOGITS, MAPS)}.get(
        options.to, options.columns or store.manifest.columns
    )
    store.check_columns(list(columns))
    names, listed = store.manifest.class_names, None
    if options.split is not None:
        names = classes_of_list(options.split, names, part=options.part)
        listed = present_videos(
            read_label_sets(options.split, names, part=options.part, present=video_ids),
            video_ids,
            store=options.store,
            where=options.split,
            allow_missing=options.allow_missing,
        )
    writers: dict[str, Callable[..., None]] = {"npy": _npy, "csv": _csv, "h5": _h5, "fiftyone": _fiftyone}
    with storage_errors(options.out):
        writers[options.to](options, store, columns, names, listed)
    log.info("%d videos: %s", len(video_ids if listed is None else listed), shown(options.out))
    return 0


def _chosen(store: AttentionStore, columns: Collection[str], listed: LabelSets | None) -> Iterator[VideoRows]:
    return (rows for rows in store.videos(list(columns)) if listed is None or rows.video_id in listed)


def _npy(
    options: ExportOptions, store: AttentionStore, columns: Collection[str], _: object, listed: LabelSets | None
) -> None:
    for rows in _chosen(store, columns, listed):
        arrays = {**rows.tensors, TIMES: np.rint(1000 * rows.time_s.astype(np.float64))}
        for name, values in arrays.items():
            data = io.BytesIO()
            np.save(data, values, allow_pickle=False)
            (Location.at(options.out) / f"{rows.video_id}_{name}.npy").write_atomic(data.getvalue())


def _csv(
    options: ExportOptions, store: AttentionStore, columns: Collection[str], _: object, listed: LabelSets | None
) -> None:
    names = store.manifest.class_names
    with (Location.at(options.out) / FRAMES).atomic_path() as path, open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["video_id", "label", "frame", "time_s", *names])
        for rows in _chosen(store, columns, listed):
            label = "" if rows.label is None else names[rows.label]
            for frame, time_s, logits in zip(rows.frame, rows.time_s, rows.logits, strict=True):
                writer.writerow([rows.video_id, label, frame, f"{time_s:.3f}", *(f"{one:.6g}" for one in logits)])


def _h5(
    options: ExportOptions,
    store: AttentionStore,
    columns: Collection[str],
    names: tuple[str, ...],
    listed: LabelSets | None,
) -> None:
    if listed is None:
        raise UsageError("--to h5: its files contain labels. Give --split, the list of the videos and their classes.")
    ids = class_ids(names)
    several = any(len(classes) != 1 for classes in listed.values())

    def label(video_id: str) -> int | tuple[int, ...]:
        classes = [ids[name] for name in listed[video_id]]
        return tuple(class_mask([classes], len(names))[0].astype(int).tolist()) if several else classes[0]

    videos = (
        FeatureVideo(rows.video_id, label(rows.video_id), rows.tensors[GRID].astype(np.float32))
        for rows in _chosen(store, columns, listed)
    )
    write_features(options.out, options.part, videos)


def _fiftyone(
    options: ExportOptions, store: AttentionStore, columns: Collection[str], _: object, listed: LabelSets | None
) -> None:
    from attn.commands.export_fiftyone import write_dataset  # draws, which takes a second to load

    write_dataset(options.out, store, options.videos, _chosen(store, columns, listed))
