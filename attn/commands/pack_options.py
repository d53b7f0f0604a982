"""Options of `jobs/pack.py`; the docstring of a field is its help text."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class PackOptions:
    videos: str
    """Videos to pack: a folder tree, a single file or a glob, local or s3://."""
    out: str
    """Output folder for the tar shards, local or s3://."""
    shard_mb: int = 64
    """Size at which a shard is closed, in MB. A video is never split."""
    name: str = "videos"
    """Prefix of the shard names: <name>-000000.tar."""
    classes: str | None = None
    """Class list. A video's label is the name of its parent folder if the list contains it (default: every folder is a
    class)."""
    overwrite: bool = False
    """Replace existing shards with this --name in the output folder."""
