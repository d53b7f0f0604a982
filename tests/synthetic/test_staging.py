"""Actors stand where the stage puts them."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from attn.synthetic.actions import ACTIONS, BY_NAME
from attn.synthetic.figure import random_look
from attn.synthetic.staging import Actor, Stage, draw_actors, outline

STAGE = Stage(x=200, ground=250, height=100, facing=1)


def actors(name: str) -> list[Actor]:
    look = replace(random_look(np.random.default_rng(0)), girth=1.0, height=1.0)
    return [Actor(role, look, role.peak) for role in BY_NAME[name].roles]


def test_a_pair_stands_around_the_middle_facing_each_other():
    left, right = (STAGE.spot(actor) for actor in actors("Handshake"))
    assert left.x + right.x == pytest.approx(2 * STAGE.x)
    assert right.x - left.x == pytest.approx(62)
    assert (left.facing, right.facing) == (1, -1)


def test_steps_lead_away_and_whoever_leaves_turns_round():
    left, right = (STAGE.spot(replace(actor, step=0.5, turned=True)) for actor in actors("Handshake"))
    assert right.x - left.x == pytest.approx(62 + 100)
    assert (left.facing, right.facing) == (-1, 1)


@pytest.mark.parametrize("name", ACTIONS)
@pytest.mark.parametrize("facing", [1, -1])
def test_the_outline_is_the_box_of_the_drawn_peak(name, facing):
    image = Image.new("RGB", (400, 300))
    stage = replace(STAGE, facing=facing)
    box = draw_actors(ImageDraw.Draw(image, "RGBA"), stage, actors(name))
    room = outline(name)
    sides = sorted((STAGE.x + facing * 100 * room.left, STAGE.x + facing * 100 * room.right))
    assert box.left >= sides[0] - 1
    assert box.right <= sides[1] + 1
    assert box.top >= STAGE.ground + 100 * room.top - 1
    assert (box.right - box.left) > 0.8 * (sides[1] - sides[0])


def test_a_camera_that_moves_moves_everything():
    image = Image.new("RGB", (400, 300))
    draw = ImageDraw.Draw(image, "RGBA")
    here, there = (draw_actors(draw, stage, actors("Kick")) for stage in (STAGE, STAGE.moved(5, -7)))
    assert np.subtract(there, here) == pytest.approx([5, -7, 5, -7])
