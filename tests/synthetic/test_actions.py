"""The decisive moments are what their names say."""

from math import dist, pi

import pytest

from attn.synthetic.actions import ACTIONS, BY_NAME, Role
from attn.synthetic.pose import Point, Skeleton, skeleton


def placed(role: Role) -> Skeleton:
    """Joints at the peak on the common ground of the action's people."""

    def at(point: Point) -> Point:
        return role.x + role.facing * point[0], point[1]

    body = skeleton(role.peak, role.breadth)
    points = [at(joint) for joint in (body.head, body.neck, body.hip)]
    limbs = [tuple(at(joint) for joint in limb) for limb in body[3:]]
    return Skeleton(*points, *limbs)


def people(name: str) -> list[Skeleton]:
    return [placed(role) for role in BY_NAME[name].roles]


def test_names_are_sorted_so_that_an_id_is_a_folders_place():
    assert list(ACTIONS) == sorted(ACTIONS)
    assert len(ACTIONS) == 8


@pytest.mark.parametrize("name", ACTIONS)
def test_a_swing_starts_at_the_peak_and_returns(name):
    for role in BY_NAME[name].roles:
        assert role.pose(0.0) == pytest.approx(role.peak)
        assert role.pose(pi) == pytest.approx(role.back)
        assert role.pose(2 * pi) == pytest.approx(role.peak)


def test_hands_meet_in_a_handshake():
    left, right = people("Handshake")
    assert dist(left.near_arm[2], right.near_arm[2]) < 0.06


def test_huggers_stand_close_and_reach_behind_each_other():
    left, right = people("Hug")
    assert abs(left.neck[0] - right.neck[0]) < 0.2
    assert left.far_arm[2][0] > right.neck[0]
    assert right.far_arm[2][0] < left.neck[0]


def test_a_jumper_is_off_the_ground_with_hands_above_the_head():
    (body,) = people("Jump")
    assert max(body.near_leg[2][1], body.far_leg[2][1]) < -0.15
    assert max(body.near_arm[2][1], body.far_arm[2][1]) < body.head[1]


def test_a_kicking_foot_is_high_and_far():
    (body,) = people("Kick")
    assert body.near_leg[2][1] < -0.4
    assert body.near_leg[2][0] - body.hip[0] > 0.4


def test_a_pointing_arm_is_level_and_straight():
    (body,) = people("Point")
    shoulder, _, hand = body.near_arm
    assert abs(shoulder[1] - hand[1]) < 0.03
    assert dist(shoulder, hand) > 0.32


def test_a_fist_reaches_the_head_and_pushing_hands_the_chest():
    puncher, punched = people("Punch")
    assert dist(puncher.near_arm[2], punched.head) < 0.16
    pusher, pushed = people("Push")
    chest = (pushed.neck[0] + pushed.hip[0]) / 2, 0.8 * pushed.neck[1] + 0.2 * pushed.hip[1]
    for arm in (pusher.near_arm, pusher.far_arm):
        assert dist(arm[2], chest) < 0.16


def test_a_waving_hand_is_above_and_beside_the_head():
    (body,) = people("Wave")
    assert body.near_arm[2][1] < body.head[1]
    assert body.near_arm[2][0] - body.head[0] > 0.1
