"""How videos differ from photographs: every constant of the domain shift in one place."""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class DomainShift:
    """The defaults make a CNN that is right on nine photographs of ten right on about half of the videos.

    Heights and distances are shares of the picture's height; a range is drawn from evenly.
    """

    image_figure: Range = (0.5, 0.88)
    """Body height in photographs."""
    video_figure: Range = (0.52, 0.78)
    """Body height in videos."""
    image_offset: float = 0.1
    """How far photographs are off centre, at most."""
    video_offset: float = 0.2
    """The same of videos; the figures always stay on the picture."""
    own_scene: float = 0.15
    """Share of photographs taken at the action's own place; the others are taken at any. Videos never are."""
    image_clutter: tuple[int, int] = (0, 4)
    """Things standing about in a photograph, fewest and most."""
    clutter: tuple[int, int] = (2, 6)
    """Things standing about in a video, fewest and most."""
    bystander: float = 0.3
    """Share of videos in which another person stands about."""
    decided: Range = (0.55, 0.85)
    """Share of a video's frames in which the action happens; before and after, people stand or walk."""
    drift: float = 0.06
    """How far the camera of a video moves, at most."""
    blur: Range = (0.4, 1.1)
    """Standard deviation of the blur of a video, in pixels."""
    noise: Range = (3.0, 10.0)
    """Standard deviation of the noise of a video, in grey levels of 255."""
    exposure: Range = (0.65, 1.1)
    """Brightness of a video, 1 as lit."""
    quantiser: tuple[int, int] = (3, 9)
    """Quantiser of the video codec: 1 is best, 31 is worst."""
