"""Embedded synthetic data set: drawn figures do eight actions, in Web images and, less clearly, in videos.

It needs no download, any number of items can be rendered from a seed, and the true position of every action is known.
The price: a network trained on these pictures cannot recognise actions in real ones.
"""

from attn.synthetic.actions import ACTIONS
from attn.synthetic.boxes import BoxTrack, read_boxes
from attn.synthetic.motion_only import MOTIONS
from attn.synthetic.render import render_images, render_lists, render_motion_videos, render_videos
from attn.synthetic.shift import DomainShift
from attn.synthetic.untrimmed import render_untrimmed
from attn.synthetic.untrimmed_set import UntrimmedSet, open_set

__all__ = [
    "ACTIONS",
    "MOTIONS",
    "BoxTrack",
    "DomainShift",
    "UntrimmedSet",
    "open_set",
    "read_boxes",
    "render_images",
    "render_lists",
    "render_motion_videos",
    "render_untrimmed",
    "render_videos",
]
