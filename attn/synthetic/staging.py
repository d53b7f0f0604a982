"""Placement of an action's figures in a picture, for both photographs and videos."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import ImageDraw

from attn.synthetic.actions import BY_NAME, Role
from attn.synthetic.figure import Box, Look, Spot, draw_figure, draw_shadow, enclosing, extent
from attn.synthetic.pose import Pose, skeleton

SUPERSAMPLING = 2
"""Factor by which pictures are drawn wider and higher before they are averaged down."""


@dataclass(frozen=True)
class Actor:
    """One figure at one instant."""

    role: Role
    look: Look
    pose: Pose
    step: float = 0.0
    """Distance from the figure's position in its role, backwards, in body heights."""
    turned: bool = False
    """Whether the figure has its back to the action."""


@dataclass(frozen=True)
class Stage:
    """Position of an action in the picture, in drawn pixels: middle, ground, scale and direction."""

    x: float
    ground: float
    height: float
    facing: int

    def moved(self, dx: float, dy: float) -> "Stage":
        """Return the stage as seen by a camera that moved."""
        return Stage(self.x + dx, self.ground + dy, self.height, self.facing)

    def spot(self, actor: Actor) -> Spot:
        """Return the position of an actor."""
        x = actor.role.x - actor.role.facing * actor.step
        facing = -actor.role.facing if actor.turned else actor.role.facing
        return Spot(
            self.x + self.facing * self.height * x, self.ground, self.height * actor.look.height, self.facing * facing
        )


def draw_actors(draw: ImageDraw.ImageDraw, stage: Stage, actors: Sequence[Actor]) -> Box:
    """Draw the actors, the last one in front, and return the box around all of them in drawn pixels."""
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
    """Return the box around an action at its decisive moment, in body heights from its middle on the ground."""
    return enclosing(
        [extent(skeleton(role.peak, role.breadth), Spot(role.x, 0.0, 1.0, role.facing)) for role in BY_NAME[name].roles]
    )
