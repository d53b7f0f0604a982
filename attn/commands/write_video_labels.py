"""Labels of videos from their temporal annotation: the classes stay, the times go. Neither Ray nor torch is needed."""

import logging

from attn.commands.evaluate_detection_files import read_truth
from attn.commands.video_labels import read_class_map
from attn.commands.video_labels_options import VideoLabelsOptions
from attn.datasets.entries import LabelSets
from attn.datasets.own_list import text_of_label_sets
from attn.datasets.segments import GroundTruth
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.location import Location

log = logging.getLogger(__name__)

SUFFIX = ".csv"


def write_video_labels(options: VideoLabelsOptions) -> int:
    """Write the table; return the exit code.

    Raises:
        UsageError: a flag or a file is invalid, or no video is left; nothing was written.
    """
    if not options.out.lower().endswith(SUFFIX):
        raise UsageError(f"--out {shown(options.out)}: not a {SUFFIX} file. Give a name that ends in {SUFFIX}.")
    truth = read_truth(options.annotations, subset=options.subset, meta=None)
    sets = label_sets(truth)
    if options.class_map is not None:
        sets = _of_classes(sets, frozenset(read_class_map(options.class_map, truth.class_names).values()))
    Location.at(options.out).write_atomic(text_of_label_sets(sets).encode())
    classes = {name for names in sets.values() for name in names}
    background = sum(not names for names in sets.values())
    log.info("%d videos of %d classes, %d of them without an action", len(sets), len(classes), background)
    return 0


def label_sets(truth: GroundTruth) -> LabelSets:
    """Classes of each annotated video, sorted; videos with Ambiguous segments only are left out.

    Such a video may show an action, so it must not count as one without any.
    """
    unsure = {one.video_id for one in truth.ambiguous} - {one.video_id for one in truth.segments}
    found: dict[str, set[str]] = {video_id: set() for video_id in sorted(truth.video_ids - unsure)}
    for one in truth.segments:
        found[one.video_id].add(one.label)
    return {video_id: tuple(sorted(names)) for video_id, names in found.items()}


def _of_classes(sets: LabelSets, classes: frozenset[str]) -> LabelSets:
    """Videos that show one of the classes, with those classes only."""
    kept = {video_id: tuple(name for name in names if name in classes) for video_id, names in sets.items()}
    return {video_id: names for video_id, names in kept.items() if names}
