"""Options of `jobs/join_clips.py`; the docstring of a field is its help text."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class JoinClipsOptions:
    videos: str
    """Labelled clips: a folder tree, tar shards or a glob, local or s3://."""
    split: tuple[str, str]
    """Training list and test list, as for other jobs. The training videos are made of clips of the first one, the test
    videos of the second one."""
    out: str
    """Output folder, local or s3://."""
    background: tuple[str, ...] = ()
    """Classes of the lists whose clips are idle time (default: still frames of the actions, with a slow zoom)."""
    videos_per_part: int = 40
    """Number of training videos, and of test videos."""
    clips: tuple[int, int] = (1, 4)
    """Smallest and largest number of actions in a video that is not background."""
    background_share: float = 0.2
    """Share of videos without any action."""
    idle_s: tuple[float, float] = (3.0, 8.0)
    """Shortest and longest idle time between actions, in seconds."""
    size: int = 112
    """Width and height of the frames in pixels, even. The central square of the clips is shown."""
    seed: int = 0
    """Random seed of the choice of clips, times and frame rates."""
    allow_missing: bool = False
    """Leave out listed clips that are not in the folder, with a warning."""
