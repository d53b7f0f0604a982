"""Which of the things that may tell a video's class decides."""

from collections.abc import Mapping, Sequence

from attn.classes import ClassFinder
from attn.errors import UsageError


def choose_label(
    video_id: str, hints: Sequence[str | None], classes: ClassFinder, labels: Mapping[str, str]
) -> int | None:
    """Class id of a video: of the first hint that is a class name, else of its entry in `labels`, else None.

    Tars of other makers often label with a bare number, which can only be a position in the class list: the last
    hint is taken so where nothing else decides.

    Args:
        video_id: key in `labels`.
        hints: names that may be class names: the folder's, then the one stored in a tar.
        classes: the class list.
        labels: video id → class name.

    Raises:
        UsageError: the label or the number is outside the class list.
    """
    for hint in hints:
        if hint and (found := classes(hint)) is not None:
            return found
    name = labels.get(video_id)
    if name is None:
        return _numbered(video_id, hints[-1], len(classes))
    if (found := classes(name)) is None:
        raise UsageError(f"label {name!r} of video {video_id!r} is not in the class list; mend one of the two")
    return found


def _numbered(video_id: str, hint: str | None, num_classes: int) -> int | None:
    if not num_classes or hint is None or not (hint.isascii() and hint.isdigit()):
        return None
    if int(hint) >= num_classes:
        raise UsageError(
            f"label {hint} stored with video {video_id!r} is beyond the {num_classes} names of the class list"
        )
    return int(hint)
