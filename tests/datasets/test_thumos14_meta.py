"""THUMOS14's meta files, written with scipy as MATLAB does, and the official one."""

from collections import Counter

import numpy as np
import pytest
import scipy.io

from attn.datasets.thumos14 import CLASSES, read_annotation
from attn.datasets.thumos14_meta import read_facts, recognition_labels
from attn.errors import UsageError


def video(name, action, *others, background="NO", duration_s=12.5, rate=25.0):
    return {
        "video_name": name,
        "primary_action_index": action,
        "secondary_actions_indices": np.array(others, np.uint8),
        "background_video": background,
        "video_duration_seconds": duration_s,
        "frame_rate_FPS": rate,
    }


@pytest.fixture
def meta(tmp_path):
    """meta(name, videos): path of a MATLAB file with a struct array of the name."""

    def of(name, videos):
        path = tmp_path / "meta.mat"
        fields = [(field, object) for field in videos[0]]
        records = np.array([[tuple(one.values()) for one in videos]], fields)
        scipy.io.savemat(path, {name: records})
        return str(path)

    return of


@pytest.mark.parametrize("name", ["test_videos", "validation_videos"])
def test_facts_are_read(meta, name):
    videos = [video("a", 7), video("b", 9, 8, 101), video("c", 6, background="YES", rate=29.97)]
    found = read_facts(meta(name, videos))
    assert [one.class_ids for one in found] == [{7}, {8, 9, 101}, frozenset()]
    assert found[2] == ("c", frozenset(), True, 12.5, 29.97)


def test_labels_for_recognition(meta):
    labels = recognition_labels(
        read_facts(meta("test_videos", [video("a", 1), video("b", 3, 2), video("c", 1, background="YES")])), 3
    )
    assert labels.tolist() == [[True, False, False], [False, True, True], [False, False, False]]


def test_a_single_video_is_a_list(meta):
    assert len(read_facts(meta("test_videos", [video("a", 7)]))) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not THUMOS14's meta file"), (b"a" * 400, "not THUMOS14's meta file"), (None, "does not exist")],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "meta.mat"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_facts(str(path))


def test_another_struct_or_a_missing_field_is_refused(meta):
    with pytest.raises(UsageError, match="has no struct test_videos or validation_videos"):
        read_facts(meta("videos", [video("a", 7)]))
    with pytest.raises(UsageError, match="not THUMOS14's meta file"):
        read_facts(meta("test_videos", [{"video_name": "a"}]))


def test_a_cut_file_is_refused(meta, tmp_path):
    path = tmp_path / "cut.mat"
    with open(meta("test_videos", [video("a", 7)]), "rb") as whole:
        data = whole.read()
    for length in (130, 200, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(UsageError, match=r"cut\.mat: "):
            read_facts(str(path))


def test_the_official_test_set(real_data):
    found = read_facts(str(real_data / "thumos14/test_set_final.mat"))
    assert len(found) == 1574
    assert sum(one.background for one in found) == 480
    assert sum(len(one.class_ids) > 1 for one in found) == 171
    rates = Counter(round(one.frames_per_s, 2) for one in found)
    assert rates == {30: 1469, 29.97: 76, 25: 21, 24: 3, 23.98: 5}
    assert sum(one.duration_s for one in found) / 3600 == pytest.approx(81.5, abs=0.05)
    labels = recognition_labels(found)
    assert (labels.any(axis=1).sum(), labels.shape) == (1094, (1574, 101))
    assert labels.any(axis=0).all()
    annotation = read_annotation(str(real_data / "thumos14/annotation"))
    of_annotated = {one.video_id: one for one in found if one.video_id in annotation.video_ids}
    assert Counter(round(one.frames_per_s, 2) for one in of_annotated.values()) == {30: 196, 29.97: 11, 25: 5, 24: 1}
    ids = {name: number for number, name in CLASSES.items()}
    pairs = {(one.video_id, ids[one.label]) for one in annotation.segments}
    unlike = [video_id for video_id, number in pairs if number not in of_annotated[video_id].class_ids]
    assert (len(pairs), len(unlike)) == (247, 14)
