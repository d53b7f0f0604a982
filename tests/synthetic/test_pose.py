"""Bodies keep their lengths and stand on the ground."""

from itertools import pairwise
from math import dist, pi

import numpy as np
import pytest

from attn.synthetic.pose import FOREARM, SHIN, THIGH, UPPER_ARM, Pose, blend, jitter, skeleton, walking

POSES = [Pose(), Pose(30, 90, 120, -90, 45, near_thigh=85, near_shin=88), walking(1.0), walking(4.0), Pose(lift=0.3)]


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("breadth", [0.0, 0.2])
def test_limbs_keep_their_lengths_and_the_lower_foot_its_height(pose, breadth):
    body = skeleton(pose, breadth)
    for limb, lengths in (
        (body.near_arm, (UPPER_ARM, FOREARM)),
        (body.far_arm, (UPPER_ARM, FOREARM)),
        (body.near_leg, (THIGH, SHIN)),
        (body.far_leg, (THIGH, SHIN)),
    ):
        assert [dist(*joints) for joints in pairwise(limb)] == pytest.approx(lengths)
    lower_sole = max(body.near_leg[2][1], body.far_leg[2][1]) + 0.03
    assert lower_sole == pytest.approx(-pose.lift)


def test_a_standing_body_is_about_one_high_and_angles_point_where_they_say():
    body = skeleton(Pose(near_upper_arm=90, near_forearm=180), 0.0)
    shoulder, elbow, hand = body.near_arm
    assert -1.0 < body.head[1] < -0.85
    assert elbow == pytest.approx((shoulder[0] + UPPER_ARM, shoulder[1]))
    assert hand == pytest.approx((elbow[0], elbow[1] - FOREARM))
    assert skeleton(Pose(lean=20), 0.0).head[0] > 0.1


def test_blend_goes_from_one_pose_to_the_other():
    start, end = POSES[1], Pose(lift=0.2)
    assert blend(start, end, 0.0) == start
    assert blend(start, end, 1.0) == end
    assert blend(start, end, 0.25).near_upper_arm == pytest.approx(0.75 * 90 + 0.25 * -6)


def test_jitter_has_the_asked_spread_and_leaves_the_ground_alone():
    rng = np.random.default_rng(0)
    angles = np.array([jitter(Pose(lift=0.2), rng, 5.0) for _ in range(500)])
    assert np.allclose(angles[:, :-1].std(axis=0), 5.0, rtol=0.15)
    assert (angles[:, -1] == 0.2).all()


def test_a_stride_repeats_and_its_halves_mirror_each_other():
    assert walking(0.7 + 2 * pi) == pytest.approx(walking(0.7))
    one, other = walking(0.7), walking(0.7 + pi)
    assert (one.near_thigh, one.near_shin) == pytest.approx((other.far_thigh, other.far_shin))
