"""Choice of a video's label among its folder's name, the label stored in a tar, and a list of labels."""

from collections.abc import Mapping, Sequence

from attn.classes import ClassFinder
from attn.errors import UsageError


def choose_label(
    video_id: str, hints: Sequence[str | None], classes: ClassFinder, labels: Mapping[str, str]
) -> int | None:
    """Return the class ID of a video, from the first hint that is a class name, otherwise from `labels`.

    Tars made by other tools often store a number as the label, which can only be an index into the class list. The last
    hint is interpreted this way if nothing else gives a class; otherwise the result is None.

    Args:
        video_id: ID of the video, as in `labels`.
        hints: possible class names: name of the folder, then label stored in the tar.
        classes: class list.
        labels: class names by video ID.

    Raises:
        UsageError: the label or the number is not in the class list.
    """
    for hint in hints:
        if hint and (found := classes(hint)) is not None:
            return found
    name = labels.get(video_id)
    if name is None:
        return _numbered(video_id, hints[-1], len(classes))
    if (found := classes(name)) is None:
        raise UsageError(f"label {name!r} of video {video_id!r} is not in the class list. Correct one of them.")
    return found


def _numbered(video_id: str, hint: str | None, num_classes: int) -> int | None:
    if not num_classes or hint is None or not (hint.isascii() and hint.isdigit()):
        return None
    if int(hint) >= num_classes:
        raise UsageError(
            f"label {hint} stored with video {video_id!r} is out of range: the class list has {num_classes} names. "
            "Use the class list with which the tar was made."
        )
    return int(hint)
