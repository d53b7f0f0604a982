"""A split never trains on what it tests on."""

import pytest

from attn.datasets.protocol import Benchmark, Split, check_folder, check_images
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location


def test_a_video_on_both_sides_is_named():
    with pytest.raises(UsageError, match="split2: 1 videos are in both the training and the test list, such as 'b'"):
        Split("split2", {"a": "Wave", "b": "Kick"}, {"b": "Kick", "c": "Wave"})


def test_labels_are_those_of_all_splits():
    splits = (Split("one", {"a": "Wave"}, {"b": "Kick"}), Split("two", {"b": "Kick"}, {"c": "Wave"}))
    found = Benchmark("x", ("Kick", "Wave"), "videos", None, 1, "top_1", splits)
    assert found.labels == {"a": "Wave", "b": "Kick", "c": "Wave"}


def test_folders(tmp_path):
    (tmp_path / "file").write_text("")
    check_folder(str(tmp_path), "")
    check_images(None)
    for name in ("file", "nowhere"):
        with pytest.raises(UsageError, match=rf"{name}: not a folder\. do this\."):
            check_folder(str(tmp_path / name), "do this")
        with pytest.raises(UsageError, match=rf"{name}: not a folder\. Arrange the Web images as"):
            check_images(str(tmp_path / name))


def test_folders_on_s3(s3):
    (Location.at(s3) / "web/a/1.jpg").write_atomic(b"")
    check_folder(join(s3, "web"), "")
    with pytest.raises(UsageError, match=r"nowhere: not a folder\. do this\."):
        check_folder(join(s3, "nowhere"), "do this")
