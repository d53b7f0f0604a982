"""No constant of the shift is idle."""

from dataclasses import fields, replace

import numpy as np
import pytest

from attn.synthetic.clip import make_clip, make_group
from attn.synthetic.photograph import photograph
from attn.synthetic.shift import DomainShift

CHANGED = {
    "image_figure": (0.5, 0.51),
    "video_figure": (0.3, 0.31),
    "image_offset": 0.2,
    "video_offset": 0.01,
    "own_scene": 1.0,
    "image_clutter": (12, 12),
    "clutter": (12, 12),
    "bystander": 1.0,
    "decided": (0.9, 0.95),
    "drift": 0.2,
    "blur": (3.0, 3.0),
    "noise": (40.0, 40.0),
    "exposure": (0.2, 0.2),
    "quantiser": (31, 31),
}


def photographs(shift: DomainShift) -> list[bytes]:
    return [photograph(seed % 8, np.random.default_rng(seed), shift).tobytes() for seed in range(4)]


def videos(shift: DomainShift) -> list[tuple[bytes, int]]:
    clips = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        clip = make_clip(seed, make_group(rng, shift), rng, shift)
        frames = np.stack([frame for frame, _ in replace(clip, n_frames=20).frames(rng)])
        clips.append((frames.tobytes(), clip.camera.quantiser))
    return clips


def test_every_constant_is_tried_here():
    assert CHANGED.keys() == {field.name for field in fields(DomainShift)}


@pytest.mark.parametrize("name", CHANGED)
def test_a_constant_changes_the_pictures_of_its_domain_alone(name):
    shift = replace(DomainShift(), **{name: CHANGED[name]})
    of_images = name.startswith("image_") or name == "own_scene"
    assert (photographs(shift) != photographs(DomainShift())) == of_images
    assert (videos(shift) != videos(DomainShift())) == (not of_images)
