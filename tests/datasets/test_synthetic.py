"""The embedded data set is described where it was rendered."""

import pytest

from attn.datasets.image_folder import list_images
from attn.datasets.synthetic import benchmark
from attn.errors import UsageError
from attn.synthetic import ACTIONS, render_images, render_videos
from attn.video.source import list_videos

VIDEOS = 2 * len(ACTIONS) + 1  # the first of the third group makes every list hold something


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("rendered")
    render_images(root, len(ACTIONS), workers=1)
    render_videos(root, VIDEOS, workers=1)
    return root


def test_what_was_rendered(root):
    found = benchmark(str(root), None)
    assert (found.name, found.class_names, found.stride, found.figure) == ("synthetic", ACTIONS, 4, "top_1")
    assert [split.name for split in found.splits] == ["split1", "split2", "split3"]
    videos = list_videos(found.videos, found.class_names)
    assert len(videos) == VIDEOS
    for split in found.splits:
        assert (split.train | split.test).keys() == {video.video_id for video in videos}
    assert found.labels == {video.video_id: ACTIONS[video.label or 0] for video in videos}
    assert found.images is not None
    assert list_images(found.images, found.class_names).class_names == ACTIONS


def test_other_images_can_be_given(root, tmp_path):
    assert benchmark(str(root), str(tmp_path)).images == str(tmp_path)


def test_videos_without_images_are_refused(root, tmp_path):
    for name in ("UCF-101", "ucfTrainTestlist"):
        (tmp_path / name).symlink_to(root / name)
    with pytest.raises(UsageError, match="images: not a folder"):
        benchmark(str(tmp_path), None)
