"""Puts the figures of an action on a picture, in photographs and in videos alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import ImageDraw

from attn.synthetic.actions import BY_NAME, Role
from attn.synthetic.figure import Box, Look, Spot, draw_figure, draw_shadow, enclosing, extent
from attn.synthetic.pose import Pose, skeleton

SUPERSAMPLING = 2
"""Pictures are drawn this many times as wide and as high, then averaged down."""


@dataclass(frozen=True)
class Actor:
    """One figure at one instant."""

    role: Role
    look: Look
    pose: Pose
    step: float = 0.0
    """How far off its place, against the way it faces, in body heights."""
    turned: bool = False
    """Whether it has turned its back on the action."""


@dataclass(frozen=True)
class Stage:
    """Where an action stands on the picture, in drawn pixels: its middle, its ground, its scale, its direction."""

    x: float
    ground: float
    height: float
    facing: int

    def moved(self, dx: float, dy: float) -> "Stage":
        """The same stage from a camera that moved."""
        return Stage(self.x + dx, self.ground + dy, self.height, self.facing)

    def spot(self, actor: Actor) -> Spot:
        """Where an actor stands."""
        x = actor.role.x - actor.role.facing * actor.step
        facing = -actor.role.facing if actor.turned else actor.role.facing
        return Spot(
            self.x + self.facing * self.height * x, self.ground, self.height * actor.look.height, self.facing * facing
        )


def draw_actors(draw: ImageDraw.ImageDraw, stage: Stage, actors: Sequence[Actor]) -> Box:
    """Paints the actors, the last one in front, and returns the box around them all in drawn pixels."""
    spots = [stage.spot(actor) for actor in actors]
    for spot in spots:
        draw_shadow(draw, spot)
    return enclosing(
        [
            draw_figure(draw, skeleton(actor.pose, actor.role.breadth), actor.role.breadth, actor.look, spot)
            for actor, spot in zip(actors, spots, strict=True)
        ]
    )


@cache
def outline(name: str) -> Box:
    """Room an action takes at its decisive moment, in body heights from its middle on the ground."""
    return enclosing(
        [extent(skeleton(role.peak, role.breadth), Spot(role.x, 0.0, 1.0, role.facing)) for role in BY_NAME[name].roles]
    )
