"""Eight actions: positions of the figures, and their poses at both ends of the movement.

Four actions have one figure, four have two. Each action can be mirrored, and a small region (where the hands meet, what
the foot does) distinguishes it from another one, as with actions in photographs.
"""

import math
from dataclasses import dataclass

from attn.synthetic.pose import Pose, blend

SIDE_VIEW, FRONT_VIEW = 0.07, 0.19  # visible distance between the shoulders, in body heights


@dataclass(frozen=True)
class Role:
    """Part of one figure in an action."""

    peak: Pose
    """Pose at the decisive moment."""
    back: Pose
    """Pose at the other end of the swing."""
    x: float = 0.0
    """Position of the feet relative to the middle of the action, in body heights."""
    facing: int = 1
    breadth: float = SIDE_VIEW

    def pose(self, phase: float) -> Pose:
        """Return the pose at a phase of the swing: `peak` at 0, `back` at π."""
        return blend(self.peak, self.back, 0.5 - 0.5 * math.cos(phase))


@dataclass(frozen=True)
class Action:
    """One class: its roles, and the length of a swing in frames."""

    roles: tuple[Role, ...]
    period: float


_LUNGE = {"near_thigh": 32.0, "near_shin": 2.0, "far_thigh": -24.0, "far_shin": -34.0}
_STRUCK = {"near_thigh": 22.0, "near_shin": 8.0, "far_thigh": -10.0, "far_shin": -26.0}


def _pair(left: tuple[Pose, Pose], right: tuple[Pose, Pose], distance: float) -> tuple[Role, Role]:
    return Role(*left, x=-distance / 2), Role(*right, x=distance / 2, facing=-1)


_SHAKE = (
    Pose(lean=3, near_upper_arm=38, near_forearm=98),
    Pose(lean=3, near_upper_arm=30, near_forearm=78),
)
_HUG = (
    Pose(lean=7, near_upper_arm=62, near_forearm=98, far_upper_arm=80, far_forearm=108),
    Pose(lean=9, near_upper_arm=54, near_forearm=92, far_upper_arm=72, far_forearm=100),
)
_PUNCH = (
    Pose(lean=14, near_upper_arm=100, near_forearm=96, far_upper_arm=10, far_forearm=118, **_LUNGE),
    Pose(lean=4, near_upper_arm=20, near_forearm=110, far_upper_arm=24, far_forearm=122, **_LUNGE),
)
_PUNCHED = (
    Pose(lean=-26, near_upper_arm=30, near_forearm=64, far_upper_arm=-48, far_forearm=-20, **_STRUCK),
    Pose(lean=-6, near_upper_arm=18, near_forearm=70, far_upper_arm=-10, far_forearm=30, **_STRUCK),
)
_PUSH = (
    Pose(lean=30, near_upper_arm=74, near_forearm=80, far_upper_arm=84, far_forearm=90, **_LUNGE),
    Pose(lean=22, near_upper_arm=60, near_forearm=100, far_upper_arm=68, far_forearm=108, **_LUNGE),
)
_PUSHED = (
    Pose(lean=-34, near_upper_arm=98, near_forearm=76, far_upper_arm=112, far_forearm=92, **_STRUCK),
    Pose(lean=-20, near_upper_arm=76, near_forearm=60, far_upper_arm=90, far_forearm=70, **_STRUCK),
)
_JUMP = (
    Pose(0, 154, 168, -154, -168, near_thigh=30, near_shin=-8, far_thigh=-30, far_shin=8, lift=0.17),
    Pose(0, 118, 140, -118, -140, near_thigh=34, near_shin=-24, far_thigh=-34, far_shin=24, lift=0.04),
)
_KICK = (
    Pose(-16, -42, -18, 48, 76, near_thigh=84, near_shin=88, far_thigh=-4, far_shin=-6),
    Pose(-8, -30, 0, 36, 70, near_thigh=52, near_shin=6, far_thigh=-4, far_shin=-6),
)
_POINT = (
    Pose(2, near_upper_arm=90, near_forearm=91),
    Pose(2, near_upper_arm=82, near_forearm=96),
)
_WAVE = (
    Pose(0, near_upper_arm=112, near_forearm=196),
    Pose(0, near_upper_arm=116, near_forearm=148),
)

BY_NAME: dict[str, Action] = {
    "Handshake": Action(_pair(_SHAKE, _SHAKE, 0.62), period=8.0),
    "Hug": Action(_pair(_HUG, _HUG, 0.20), period=30.0),
    "Jump": Action((Role(*_JUMP, breadth=FRONT_VIEW),), period=11.0),
    "Kick": Action((Role(*_KICK, x=-0.1),), period=13.0),
    "Point": Action((Role(*_POINT, x=-0.1),), period=24.0),
    "Punch": Action(_pair(_PUNCH, _PUNCHED, 0.37), period=11.0),
    "Push": Action(_pair(_PUSH, _PUSHED, 0.46), period=15.0),
    "Wave": Action((Role(*_WAVE, breadth=FRONT_VIEW),), period=9.0),
}

ACTIONS: tuple[str, ...] = tuple(BY_NAME)
"""Class names, sorted; the index of a name is its class ID."""
