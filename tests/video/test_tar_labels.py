"""Labels that come with the videos of a tar."""

import tarfile

import pytest

from tests.video.test_tar_headers import add, members_of


@pytest.mark.parametrize(
    ("name", "content", "label"),
    [
        ("v.json", b'{"label": "wave", "sha256": "x"}', "wave"),
        ("v.json", b'{"label": 17}', "17"),
        ("v.json", b'{"label": true}', None),
        ("v.json", b'{"label": null}', None),
        ("v.json", b'{"caption": "wave"}', None),
        ("v.json", b'["wave"]', None),
        ("v.json", b"no json", None),
        ("v.json", b"[" * 200_000, None),
        ("v.cls", b" 17\n", "17"),
        ("v.cls", "grüßen".encode(), "grüßen"),
        ("v.cls", b"", None),
        ("w.cls", b"17", None),
        ("v.txt", b"wave\n", "wave"),
        ("v.txt", b"a caption of a video. " * 20, None),
        ("v.txt", b"17", None),
        ("v.CLASS", b"wave", "wave"),
        ("v.json", b'{"class_name": "wave"}', "wave"),
    ],
)
@pytest.mark.parametrize("label_first", [False, True])
def test_labels_of_other_makers(tmp_path, name, content, label, label_first):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        files = [("v.avi", b"video"), (name, content)]
        for file in reversed(files) if label_first else files:
            add(tar, *file)
    assert [member.label for member in members_of(path)] == [label]


def test_labels_by_the_rule_of_webdataset(tmp_path):
    """A sample's key ends at the first dot; a text is a label only if no other file tells one."""
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, data in [
            ("d/000006.video.mp4", b""), ("d/000006.cls", b"wave"), ("d/000006.txt", b"a man waves"),
            ("000003.mp4", b""), ("000003.txt", b"kick"),
            ("000004.txt", b"a man"), ("000004.json", b'{"label": 1}'), ("000004.mp4", b""),
            ("000005.video.mp4", b""), ("000005.label.txt", b"kick"), ("000007.mp4", b""),
            ("clip.1.mp4", b""), ("clip.2.mp4", b""), ("clip.2.cls", b"kick"),
        ]:  # fmt: skip
            add(tar, name, data)
    assert [member.label for member in members_of(path)] == ["wave", "kick", "1", "kick", None, None, "kick"]


def test_a_label_goes_with_its_whole_stem(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for stem in ("a.1", "a.2", "d/a.1"):
            add(tar, f"{stem}.avi", b"video")
            add(tar, f"{stem}.cls", f"label of {stem}".encode())
    assert {member.name: member.label for member in members_of(path)} == {
        "a.1.avi": "label of a.1",
        "a.2.avi": "label of a.2",
        "d/a.1.avi": "label of d/a.1",
    }
