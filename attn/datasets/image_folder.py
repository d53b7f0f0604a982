"""Web images: a folder with one folder per class, as written by an image search."""

import dataclasses
import logging
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from jaxtyping import Int

from attn.classes import check_class_names, class_ids, spelling
from attn.datasets.image_file import ImageError, read_image
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.left_out import IMAGES, is_plainly_other, left_out
from attn.storage.listing import list_files, names_in
from attn.storage.location import Location
from attn.video.file_names import VIDEO_SUFFIXES

__all__ = ["ImageError", "ImageFolder", "list_images", "read_image"]

log = logging.getLogger(__name__)

# Downloads keep what follows the name in a URL: photo.jpg?w=640, photo.jpg:large, photo.jpg.1
_IMAGE_WITHIN = re.compile(rf"({'|'.join(map(re.escape, sorted(IMAGES)))})\b")


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Images of a folder, sorted by class and then by name.

    Attributes:
        class_names: names of the classes; the position is the class ID.
        names: names of the images relative to the folder, `<Class>/<file>`.
        paths: paths or URLs of the images, for `read_image`.
        labels: class IDs of the images.
    """

    class_names: tuple[str, ...]
    names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: Int[np.ndarray, "image"]


def list_images(url: str, class_names: Sequence[str] | None = None, *, no_others: bool = False) -> ImageFolder:
    """Images below the class folders, judged by their names; `read_image` checks their content.

    Folders inside a class folder belong to the class. Hidden files and files next to the class folders are skipped. A
    file without an extension is included; a warning counts other files that may be images. No file is opened. Class
    folders may be spelt differently from the classes: collections of Web images write `apply_eye_makeup` for the
    `ApplyEyeMakeup` of the videos.

    Args:
        url: local path or URL of the folder.
        class_names: classes to read, in the order of their IDs. If a class has no folder of its exact name, the folder
            that differs only in case, underscores, hyphens and spaces is used. Default: all folders, sorted.
        no_others: refuse folders of other classes instead of skipping them.

    Raises:
        UsageError: the folder is missing or has no class folders; a class has no images or two folders; there are
            folders of other classes although `no_others` is set.
    """
    root = Location.at(url)
    with root.errors():
        files = sorted(file.path[len(root.path) :].lstrip("/") for file in list_files(root))
        found = [name for name in files if _is_image(name)]
        folders = {name.split("/")[0] for name in found if "/" in name} | _folders(root)
    if not folders:
        raise UsageError(f"{shown(url)}: no class folders found. Arrange the images as <folder>/<class>/<image>.")
    classes = check_class_names(sorted(folders) if class_names is None else class_names, where=url)
    ids = _folder_ids(url, folders, classes)
    if no_others and (others := sorted(folders - ids.keys())):
        raise UsageError(
            f"{shown(url)}: folders of other classes: {_first(others)}. "
            "Remove them, or name the classes with --classes."
        )
    items = sorted((ids[name.split("/")[0]], name) for name in found if "/" in name and name.split("/")[0] in ids)
    labels, names = np.array([label for label, _ in items], np.int64), tuple(name for _, name in items)
    others = left_out((name for name in files if name.split("/")[0] in ids and not _is_image(name)), VIDEO_SUFFIXES)
    if others.files:
        log.warning("%s: %s. Convert or rename those that are.", shown(url), others.told("images"))
    _check_complete(url, classes, labels)
    folder = root.absolute
    return ImageFolder(classes, names, tuple(posixpath.join(folder, name) for name in names), labels)


def _is_image(path: str) -> bool:
    name = posixpath.basename(path).lower()
    if posixpath.splitext(name)[1] in IMAGES:
        return True
    return not is_plainly_other(path, VIDEO_SUFFIXES) and ("." not in name or bool(_IMAGE_WITHIN.search(name)))


def _folders(root: Location) -> set[str]:
    """Folders directly in the root. An empty one is a class whose images are missing."""
    names = [name for name in names_in(root) if not name.startswith(".")]
    return {name for name in names if (root / name).is_folder()}


def _folder_ids(url: str, folders: Collection[str], classes: Sequence[str]) -> dict[str, int]:
    """Folder → class ID, for the folders that belong to a class."""
    exact = class_ids(classes)
    alike = {spelling(name): label for name, label in exact.items() if name not in folders}
    labels = {folder: exact.get(folder, alike.get(spelling(folder), -1)) for folder in sorted(folders)}
    ids = {folder: label for folder, label in labels.items() if label >= 0}
    for label, count in Counter(ids.values()).items():
        if count > 1:
            several = ", ".join(folder for folder in ids if ids[folder] == label)
            raise UsageError(f"{shown(url)}: {count} folders of class {classes[label]}: {several}. Merge them.")
    return ids


def _check_complete(url: str, classes: Sequence[str], labels: Iterable[int]) -> None:
    present = {classes[label] for label in labels}
    missing = [name for name in classes if name not in present]
    if missing:
        kinds = ", ".join(sorted(IMAGES))
        raise UsageError(f"{shown(url)}: no images of {_first(missing)}. Add images ({kinds}) to {missing[0]}/.")


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5])
