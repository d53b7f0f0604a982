"""Differences between videos and photographs: all constants of the domain shift in one place."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class DomainShift:
    """Constants of the domain shift between photographs and videos.

    With the defaults, a CNN that is right on nine of ten photographs is right on about half of the videos. Heights and
    distances are shares of the picture's height; values are drawn uniformly from ranges.
    """

    image_figure: Range = (0.5, 0.88)
    """Body height in photographs."""
    video_figure: Range = (0.52, 0.78)
    """Body height in videos."""
    image_offset: float = 0.1
    """Largest distance of the action from the centre of a photograph."""
    video_offset: float = 0.2
    """Largest distance of the action from the centre of a video; the figures always stay in the picture."""
    own_scene: float = 0.15
    """Share of photographs taken at the action's own place; the others are taken at any. Videos have other places."""
    image_clutter: tuple[int, int] = (0, 4)
    """Smallest and largest number of clutter objects in a photograph."""
    clutter: tuple[int, int] = (2, 6)
    """Smallest and largest number of clutter objects in a video."""
    bystander: float = 0.3
    """Share of videos with a bystander."""
    decided: Range = (0.55, 0.85)
    """Share of a video's frames in which the action happens; before and after, people stand or walk."""
    drift: float = 0.06
    """Largest displacement of the camera of a video."""
    blur: Range = (0.4, 1.1)
    """Standard deviation of the blur of a video, in pixels."""
    noise: Range = (3.0, 10.0)
    """Standard deviation of the noise of a video, in grey levels of 255."""
    exposure: Range = (0.65, 1.1)
    """Brightness of a video; 1 leaves it unchanged."""
    quantiser: tuple[int, int] = (3, 9)
    """Smallest and largest quantiser of the video codec, from 1 (best) to 31 (worst)."""
