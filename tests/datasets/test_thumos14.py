"""THUMOS14's text files: what is read, written and refused."""

import pytest

from attn.datasets.segments import Detection, GroundTruth, Segment, beyond_end
from attn.datasets.thumos14 import (
    CLASSES,
    annotation_files,
    detections_text,
    read_annotation,
    read_class_list,
    read_detections,
)
from attn.datasets.thumos14_meta import read_facts
from attn.errors import UsageError
from attn.storage.location import Location


@pytest.fixture
def folder(tmp_path):
    """folder(files): path of a folder with the texts as files."""

    def of(files):
        path = tmp_path / "annotation"
        path.mkdir(exist_ok=True)
        for name, text in files.items():
            (path / name).write_bytes(text.encode())
        return str(path)

    return of


FILES = {
    "detclasslist.txt": "45 JavelinThrow\r\n7 BaseballPitch\r\n",
    "JavelinThrow_test.txt": "video_test_0000002  0.3 1.5\nvideo_test_0000001.mp4 4 5\n\n",
    "BaseballPitch_test.txt": "video_test_0000002  7.0 9.25\r\n",
    "Ambiguous_test.txt": "video_test_0000003  1.0 2.0\n",
    "readme.txt": "not an annotation",
}


def test_an_annotation_is_read_in_the_order_of_the_class_list(folder):
    """CRLF line ends, two blanks and one, names with `.mp4`, blank lines."""
    found = read_annotation(folder(FILES))
    assert found.class_names == ("JavelinThrow", "BaseballPitch")
    assert found.segments == [
        Segment("video_test_0000002", "JavelinThrow", 0.3, 1.5),
        Segment("video_test_0000001", "JavelinThrow", 4, 5),
        Segment("video_test_0000002", "BaseballPitch", 7, 9.25),
    ]
    assert found.ambiguous == [Segment("video_test_0000003", "Ambiguous", 1, 2)]
    assert found.video_ids == {f"video_test_000000{i}" for i in (1, 2, 3)}
    assert found.subset == "test"


def test_without_a_class_list_the_files_are_the_classes(folder):
    found = read_annotation(folder({"Wave_val.txt": "a  0 1\n", "Kick_val.txt": "a  2 3\n"}))
    assert (found.class_names, found.subset, found.ambiguous) == (("Kick", "Wave"), "val", [])


def test_one_of_two_subsets_is_named(folder):
    url = folder({"Wave_val.txt": "a  0 1\n", "Wave_test.txt": "b  2 3\n"})
    assert read_annotation(url, "val").segments == [Segment("a", "Wave", 0, 1)]
    with pytest.raises(UsageError, match=r"has the subsets test, val\. Name one with --subset"):
        read_annotation(url)
    with pytest.raises(UsageError, match=r"no files <Class>_training\.txt"):
        read_annotation(url, "training")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"JavelinThrow_test.txt": "video 1\n"}, "JavelinThrow_test.txt, line 1: 'video 1' is not a segment"),
        ({"JavelinThrow_test.txt": "video  2 1\n"}, "line 1: the segment 2 to 1 s is reversed"),
        ({"JavelinThrow_test.txt": "video  nan 1\n"}, "line 1: the start 'nan' is not a finite number"),
        ({"detclasslist.txt": "45 JavelinThrow\r\n"}, "'BaseballPitch' is in only one of"),
        ({"detclasslist.txt": FILES["detclasslist.txt"] + "9 Wave\n"}, "'Wave' is in only one of"),
        ({"detclasslist.txt": "JavelinThrow\n"}, "line 1: 'JavelinThrow' is not a class"),
        ({"detclasslist.txt": "7 A\n7 B\n"}, "line 2: '7 B' appears twice"),
        ({"BaseballPitch_test.txt": "", "JavelinThrow_test.txt": "\n"}, "has no segments"),
    ],
)
def test_an_annotation_of_another_form_is_refused(folder, changes, message):
    with pytest.raises(UsageError, match=message):
        read_annotation(folder(FILES | changes))


def test_a_folder_without_annotation_is_refused(folder, tmp_path):
    with pytest.raises(UsageError, match=r"has no files <Class>_test\.txt"):
        read_annotation(folder({"readme.txt": ""}))
    with pytest.raises(UsageError, match=r"has no files <Class>_test\.txt"):
        read_annotation(str(tmp_path / "nothing"))


def test_a_remote_folder_is_read():
    for name, text in FILES.items():
        Location.at(f"memory://annotation/{name}").write_atomic(text.encode())
    assert len(read_annotation("memory://annotation").segments) == 3


def test_detections_are_read_with_and_without_mp4(tmp_path):
    path = tmp_path / "detections.txt"
    path.write_text("video_test_0000002.mp4 0.5 2 45 -1.5\r\nvideo_test_0000002\t3 4.5 7 2e-3\n\n")
    assert read_detections(str(path)) == [
        Detection("video_test_0000002", "JavelinThrow", 0.5, 2, -1.5),
        Detection("video_test_0000002", "BaseballPitch", 3, 4.5, 0.002),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("video 0 1 8 0.5", "line 2: unknown class ID '8'"),
        ("video 0 1 Wave 0.5", "line 2: unknown class ID 'Wave'"),
        ("video 0 1 7", "line 2: 'video 0 1 7' is not a detection"),
        ("video 0 1 7 nan", "line 2: the score 'nan' is not a finite number"),
        ("video 3 1 7 1", "line 2: the segment 3 to 1 s is reversed"),
    ],
)
def test_detections_of_another_form_are_refused(tmp_path, line, message):
    path = tmp_path / "detections.txt"
    path.write_text(f"video 0 1 7 0.5\n{line}\n")
    with pytest.raises(UsageError, match=message):
        read_detections(str(path))


def test_written_files_are_read_back(folder, tmp_path):
    segments = [Segment("a", "Billiards", 0.1, 1 / 3), Segment("b", "Diving", 2.0, 4.0)]
    truth = GroundTruth(
        ("Billiards", "Diving"), frozenset("abc"), segments, [Segment("c", "Ambiguous", 5.0, 6.0)], subset="test"
    )
    files = annotation_files(truth)
    assert files["detclasslist.txt"] == "12 Billiards\r\n26 Diving\r\n"
    assert read_annotation(folder(files)) == truth
    detections = [Detection(*one, score) for score, one in enumerate(segments)]
    (tmp_path / "detections.txt").write_text(detections_text(detections))
    assert read_detections(str(tmp_path / "detections.txt")) == detections


def test_classes_of_ones_own_are_numbered_from_1(folder):
    truth = GroundTruth(("Wave", "Kick"), frozenset("a"), [Segment("a", "Wave", 0.0, 1.0)], subset="val")
    url = folder(annotation_files(truth))
    assert read_class_list(f"{url}/detclasslist.txt") == {1: "Wave", 2: "Kick"}
    assert read_annotation(url) == truth


def test_the_official_annotation(real_data):
    found = read_annotation(str(real_data / "thumos14/annotation"))
    with_segments = {one.video_id for one in found.segments}
    assert (len(with_segments), len(found.segments), len(found.ambiguous)) == (212, 3358, 99)
    assert found.video_ids - with_segments == {"video_test_0001292"}
    assert found.class_names == tuple(CLASSES.values())
    assert read_class_list(str(real_data / "thumos14/annotation/detclasslist.txt")) == CLASSES
    durations = {one.video_id: one.duration_s for one in read_facts(str(real_data / "thumos14/test_set_final.mat"))}
    beyond = {"video_test_0000270": 22, "video_test_0000814": 3, "video_test_0001081": 1}
    assert beyond_end(found.segments, durations) == beyond
    diving = {one[2:] + one[:1] for one in found.segments if one.label == "Diving"}
    cliff = [one[2:] + one[:1] for one in found.segments if one.label == "CliffDiving"]
    assert len(cliff) == 217
    assert {*cliff} <= diving
