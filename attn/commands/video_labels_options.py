"""Options of `jobs/video_labels.py`; the docstring of a field is its help text."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class VideoLabelsOptions:
    annotations: str
    """Temporal annotation: ActivityNet's JSON, THUMOS14's folder of <Class>_val.txt, or a table with start_s and end_s;
    local or s3://."""
    out: str
    """Table to write, a .csv file, local or s3://."""
    subset: str | None = None
    """Subset of the annotation, such as training (default: the only one)."""
    class_map: str | None = None
    """Overlap list: lines `<source> <target>` as for train_tsrnet. Only the targets stay classes, and only videos that
    show one of them are in the table (default: all classes and videos)."""
