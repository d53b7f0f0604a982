"""Hollywood2: one list per class and part, and clips of several classes."""

import numpy as np
import pytest

from attn.datasets.hollywood2 import CLASSES, label_mask, read_lists
from attn.errors import UsageError
from attn.video.source import list_videos

SHOWN = {
    "train": {"actioncliptrain00001": {"Run", "Kiss"}, "actioncliptrain00003": {"AnswerPhone"}},
    "test": {"actioncliptest00001": {"StandUp"}, "actioncliptest00002": set()},
}


@pytest.fixture
def root(tmp_path):
    (tmp_path / "ClipSets").mkdir()
    (tmp_path / "AVIClips").mkdir()
    for part, clips in SHOWN.items():
        for clip in clips:
            (tmp_path / "AVIClips" / f"{clip}.avi").touch()
        for name in CLASSES:
            lines = [f"{clip}  {1 if name in names else -1}\n" for clip, names in clips.items()]
            (tmp_path / "ClipSets" / f"{name}_{part}.txt").write_text("".join(lines))
    (tmp_path / "AVIClips" / "actionclipautoautotrain00001.txt").touch()
    (tmp_path / "ClipSets" / "Run_autotrain.txt").write_text("actionclipautoautotrain00001  1\n")
    return tmp_path


def test_classes_of_every_clip(root):
    found = read_lists(str(root))
    assert found.train == {"actioncliptrain00001": ("Kiss", "Run"), "actioncliptrain00003": ("AnswerPhone",)}
    assert found.test == {"actioncliptest00001": ("StandUp",), "actioncliptest00002": ()}
    assert {video.video_id for video in list_videos(found.videos)} == found.train.keys() | found.test.keys()


def test_the_mask_is_in_the_official_order(root):
    mask = label_mask(read_lists(str(root)).train)
    assert mask.shape == (2, 12)
    np.testing.assert_array_equal(np.argwhere(mask), [[0, 7], [0, 8], [1, 0]])


def rewrite(root, name: str, text: str) -> None:
    (root / "ClipSets" / f"{name}.txt").write_text(text)


@pytest.mark.parametrize("line", ["actioncliptrain00001", "actioncliptrain00001  0", "actioncliptrain00001  1 x"])
def test_a_line_of_another_form_is_named(root, line):
    rewrite(root, "Kiss_train", f"actioncliptrain00003  1\n{line}\n")
    with pytest.raises(UsageError, match=r"Kiss_train\.txt, line 2: .+ is not a Hollywood2 entry"):
        read_lists(str(root))


def test_a_clip_that_appears_twice_is_named(root):
    rewrite(root, "Eat_test", "actioncliptest00001  1\nactioncliptest00001  -1\n")
    with pytest.raises(UsageError, match=r"Eat_test\.txt, line 2: clip 'actioncliptest00001' appears twice"):
        read_lists(str(root))


def test_lists_of_other_clips_are_refused(root):
    rewrite(root, "Eat_test", "actioncliptest00001  1\n")
    with pytest.raises(UsageError, match=r"Eat_test\.txt: its clips differ .+ such as 'actioncliptest00002'"):
        read_lists(str(root))


def test_an_empty_or_missing_list_is_refused(root):
    rewrite(root, "SitUp_train", "\n")
    with pytest.raises(UsageError, match=r"SitUp_train\.txt: no clips listed"):
        read_lists(str(root))
    (root / "ClipSets" / "SitUp_train.txt").unlink()
    with pytest.raises(UsageError, match=r"SitUp_train\.txt: does not exist"):
        read_lists(str(root))


def test_a_clip_in_both_parts_is_refused(root):
    for name in CLASSES:
        rewrite(root, f"{name}_test", "actioncliptrain00003  -1\n")
    with pytest.raises(UsageError, match=r"1 clips are in both .+ such as 'actioncliptrain00003'"):
        read_lists(str(root))
