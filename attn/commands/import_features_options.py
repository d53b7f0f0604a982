"""Flags of jobs/import_features.py."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImportFeaturesOptions:
    features: str
    """Folder of <part>_features.h5, <part>_framenum.txt, <part>_filename.txt and <part>_labels.txt, local or s3://."""
    out: str
    """Output folder for the store and a list <part>.csv of each part, local or s3://."""
    parts: tuple[str, ...] = ("train", "test")
    """Prefixes of the files. A video may be in one part only."""
    classes: str | None = None
    """Class list, one name per line, in the order of the class ids (default: names such as class 0)."""
    backbone: str = "googlenet"
    """CNN that made the features, for the record."""
    map_shape: tuple[int, int] = (7, 7)
    """Rows and columns of the feature maps."""
    fps: float = 30.0
    """Frames per second of the features, for time stamps."""
    part_mb: int = 128
    """Size at which a part of the store is closed, in MB before compression. A video is never split."""
