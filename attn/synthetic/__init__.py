"""The embedded data set: people of thick limbs do eight actions, in Web images and, less clearly, in videos.

It needs no download, any number of items can be made from a seed, and the true place of every action is known. The
price: a network that reads these pictures knows nothing of real ones.
"""

from attn.synthetic.actions import ACTIONS
from attn.synthetic.boxes import BoxTrack, read_boxes
from attn.synthetic.render import render_images, render_lists, render_videos
from attn.synthetic.shift import DomainShift

__all__ = ["ACTIONS", "BoxTrack", "DomainShift", "read_boxes", "render_images", "render_lists", "render_videos"]
