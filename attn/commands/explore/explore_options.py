"""Flags of jobs/explore.py."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    store: str
    """Attention store, local or s3://."""
    models: tuple[str, ...] = ()
    """Models of the store's maps or grids, each as NAME=URL or URL. They are model files of choose, and folders of
    train_energynet or train_soft_attention."""
    videos: str | None = None
    """Videos of the store, if they have moved since precompute. Without them, maps are shown without frames."""
    port: int = 8050
    """Port on this machine; 0 for any free one. Other machines cannot reach it."""
    allow_partial: bool = False
    """Show the videos of a store whose precompute has not finished."""
