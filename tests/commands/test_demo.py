"""Picture that the demo ends with."""

import numpy as np

from attn.commands.demo import FILM, draw_film
from attn.schema import MAPS
from attn.synthetic.actions import ACTIONS
from attn.synthetic.boxes import read_boxes
from attn.synthetic.render import render_videos
from tests.stores import new_manifest, write_store


def test_the_drawn_video_is_the_test_video_whose_attention_tells_when_the_action_happens(tmp_path):
    """Hug of group 1 does, and Jump of group 2, which trains; Kick does under the name of another class."""
    render_videos(tmp_path, 3 * len(ACTIONS), workers=1)
    videos = {}
    for path in (tmp_path / "boxes").iterdir():
        track, class_id = read_boxes(path), list(ACTIONS).index(path.stem.split("_")[1])
        frame = np.arange(0, len(track.boxes), 5)
        acting = (frame >= track.acting[0]) & (frame < track.acting[1])
        tells = path.stem in {"v_Hug_g01_c01", "v_Jump_g02_c01", "v_Kick_g01_c01"}
        maps = np.zeros((len(frame), len(ACTIONS), 4, 4), np.float16)
        maps[:, class_id - path.stem.startswith("v_Kick"), 1, 1] = np.where(acting, 1, 0) if tells else 1
        videos[path.stem] = {MAPS: maps}
    manifest = new_manifest(class_names=tuple(ACTIONS), columns=(MAPS,))
    labels = {name: list(ACTIONS).index(name.split("_")[1]) for name in videos}
    store = write_store(str(tmp_path / "store"), manifest, videos, labels=labels)
    drawn = draw_film(tmp_path / "store", tmp_path, tmp_path)
    assert (drawn, store) == (tmp_path / FILM, str(tmp_path / "store"))
    assert ">v_Hug_g01_c01</text>" in drawn.read_text()
