"""The job joins a user's clips: what it annotates is what the files show, and mistakes are one line."""

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from attn.commands.join_clips import join_clips
from attn.commands.join_clips_options import JoinClipsOptions
from attn.datasets import activitynet, thumos14
from attn.datasets.split import read_label_sets
from attn.errors import UsageError
from attn.storage.location import Location
from attn.synthetic.encode import write_avi
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader

SHADES = {"Rest": 60, "Jump": 140, "Run": 220}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """Clips in UCF101's layout: each class has its shade, and its frames flicker; groups 1 and 2 are test clips."""
    root = tmp_path_factory.mktemp("clips")
    lists = {"train": [], "test": []}
    for number, (name, shade) in enumerate(SHADES.items(), 1):
        (root / "videos" / name).mkdir(parents=True)
        for group, clip in itertools.product((1, 2, 3, 4), (1, 2)):
            path = f"{name}/v_{name}_g{group:02d}_c{clip:02d}.avi"
            frames = [np.full((48, 64, 3), shade + 8 * (i % 2), np.uint8) for i in range(20 + 5 * clip)]
            write_avi(root / "videos" / path, frames, 25, 2)
            lists["test" if group < 3 else "train"].append(path if group < 3 else f"{path} {number}")
    for part, lines in lists.items():
        (root / f"{part}.txt").write_text("".join(f"{line}\n" for line in lines))
    return root


@pytest.fixture
def options(clips, tmp_path):
    def make(**changes) -> JoinClipsOptions:
        lists = str(clips / "train.txt"), str(clips / "test.txt")
        small = {"videos_per_part": 5, "clips": (1, 2), "idle_s": (0.5, 1.0), "size": 32}
        given = {"videos": str(clips / "videos"), "split": lists, "out": str(tmp_path / "out"), **small}
        return JoinClipsOptions(**{**given, **changes})

    return make


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Time of every frame, and its brightness."""
    with FrameReader() as reader:
        chunks = [(chunk.time_s, chunk.images.mean((1, 2, 3))) for chunk in reader.read(path, Stride(1), None)]
    return tuple(np.concatenate(each) for each in zip(*chunks, strict=True))


def test_segments_are_where_the_clips_are(options, tmp_path, caplog):
    caplog.set_level("INFO")
    assert join_clips(options(background=("Rest",))) == 0
    out = tmp_path / "out"
    truth = activitynet.read_ground_truth(str(out / "annotation.json"), "test")
    other = thumos14.read_annotation(str(out / "thumos14"))
    assert sorted(truth.segments) == sorted(other.segments)
    assert {*truth.class_names} == {"Jump", "Run"}
    for name in truth.video_ids:
        time_s, grey = read(out / "videos" / f"{name}.mp4")
        shown = np.full(len(time_s), "Rest", object)
        for one in (*truth.segments, *other.ambiguous):
            if one.video_id == name:
                half = 0.5 * float(np.diff(time_s).min())
                shown[(time_s > one.start_s - half) & (time_s < one.end_s - half)] = one.label
        for label, shade in SHADES.items():
            assert np.abs(grey[shown == label] - shade - 4).max(initial=0) < 12
        assert truth.durations_s[name] == pytest.approx(time_s[-1] + np.diff(time_s).mean(), abs=1e-3)
    assert "test: 5 videos, 1 of them background" in caplog.text
    assert str(out / "training_labels.csv") in caplog.text


def test_labels_have_no_times_and_name_the_classes_of_the_segments(options, tmp_path):
    join_clips(options(background=("Rest",)))
    out = tmp_path / "out"
    for part in ("training", "test"):
        truth = activitynet.read_ground_truth(str(out / "annotation.json"), part)
        sets = read_label_sets(str(out / f"{part}_labels.csv"), ("Jump", "Run"))
        shown = {name: {one.label for one in truth.segments if one.video_id == name} for name in truth.video_ids}
        assert {name: set(classes) for name, classes in sets.items()} == shown
        with open(out / f"{part}_labels.csv", newline="") as file:
            assert {len(row) for row in csv.reader(file)} == {2}


def test_without_a_background_class_idle_time_is_still(options, tmp_path):
    assert join_clips(options()) == 0
    truth = activitynet.read_ground_truth(str(tmp_path / "out" / "annotation.json"), "test")
    unsure = thumos14.read_annotation(str(tmp_path / "out" / "thumos14")).ambiguous
    assert {*truth.class_names} == {*SHADES}
    name = truth.segments[0].video_id
    time_s, grey = read(tmp_path / "out" / "videos" / f"{name}.mp4")
    middle_s, flicker = (time_s[1:] + time_s[:-1]) / 2, np.abs(np.diff(grey))
    acting, busy = (
        np.any([(middle_s > a) & (middle_s < b) for n, _, a, b in segments if n == name], axis=0)
        for segments in (truth.segments, (*truth.segments, *unsure))
    )
    assert np.median(flicker[acting]) > 4
    assert np.median(flicker[~busy]) < 1


def test_the_same_command_writes_the_same_bytes(options, tmp_path):
    for name in ("one", "two"):
        join_clips(options(out=str(tmp_path / name), seed=3, videos_per_part=2))
    one, two = (
        {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    )
    assert one == two


def test_a_broken_clip_is_left_out_and_named(clips, options, tmp_path, caplog):
    broken = tmp_path / "videos"
    for path in (clips / "videos").rglob("*.avi"):
        copy = broken / path.relative_to(clips / "videos")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(b"no video" if path.stem == "v_Run_g03_c01" else path.read_bytes())
    assert join_clips(options(videos=str(broken), background=("Rest",), clips=(2, 2))) == 3
    assert "1 clips could not be read: v_Run_g03_c01" in caplog.text
    assert (tmp_path / "out" / "annotation.json").exists()


def test_a_remote_folder_gets_the_same_files(s3, options, tmp_path):
    outs = f"{s3}/out", str(tmp_path / "out")
    for out in outs:
        assert join_clips(options(out=out, videos_per_part=1)) == 0
    for name in ("annotation.json", "test_labels.csv", "thumos14/detclasslist.txt", "videos/video_test_0000001.mp4"):
        remote, local = (Location.at(f"{out}/{name}").read_bytes() for out in outs)
        assert remote == local


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"videos_per_part": 0}, "--videos-per-part 0"),
        ({"size": 33}, "--size 33: must be even"),
        ({"size": 8}, "--size 8"),
        ({"idle_s": (2.0, 1.0)}, "--idle-s 2 1"),
        ({"idle_s": (0.0, float("inf"))}, "--idle-s 0 inf"),
        ({"clips": (0, 1)}, "--clips 0 1"),
        ({"background_share": 1.5}, "--background-share 1.5"),
        ({"background": ("Rset",)}, "--background Rset: not in the training list"),
        ({"background": tuple(SHADES)}, "--background: names every class"),
    ],
)
def test_wrong_flags_are_refused_before_any_work(changes, message, options, tmp_path):
    with pytest.raises(UsageError, match=message):
        join_clips(options(**changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("test_list", "message"),
    [
        ("Run/v_Run_g03_c01.avi\n", "both the training and the test list"),
        ("Run/v_Run_g03_c09.avi\n", "1 videos of .* are missing"),
        ("Run/v_Run_g01_c01.avi\n", "class 'Jump': has no test clips"),
        ("Ran/v_Run_g01_c01.avi\n", "class 'Ran' is not among the 3 class names"),
    ],
)
def test_wrong_lists_are_refused_before_any_work(test_list, message, clips, options, tmp_path):
    (tmp_path / "test.txt").write_text(test_list)
    with pytest.raises(UsageError, match=message):
        join_clips(options(split=(str(clips / "train.txt"), str(tmp_path / "test.txt"))))
    assert not (tmp_path / "out").exists()


def test_a_recording_on_both_sides_is_refused(clips, options, tmp_path):
    lines = (clips / "train.txt").read_text().splitlines()
    held = [line for line in lines if "_c01" in line]
    (tmp_path / "train.txt").write_text("\n".join(line for line in lines if line not in held))
    (tmp_path / "test.txt").write_text("\n".join(line.split()[0] for line in held))
    with pytest.raises(UsageError, match="share a group"):
        join_clips(options(split=(str(tmp_path / "train.txt"), str(tmp_path / "test.txt"))))


def test_a_folder_with_untrimmed_videos_is_not_written_again(options):
    join_clips(options(videos_per_part=1))
    with pytest.raises(UsageError, match="has untrimmed videos already"):
        join_clips(options(videos_per_part=1))


def test_real_clips_are_joined(real_data, tmp_path):
    root = real_data / "ucf101_5"
    if not root.is_dir():
        pytest.skip("real data not present")
    lists = root / "ucfTrainTestlist"
    done = join_clips(
        JoinClipsOptions(
            videos=str(root / "UCF-101"),
            split=(str(lists / "trainlist01.txt"), str(lists / "testlist01.txt")),
            out=str(tmp_path / "out"),
            background=("WallPushups",),
            videos_per_part=2,
            clips=(1, 2),
            size=64,
        )
    )
    assert done == 0
    database = json.loads((tmp_path / "out" / "annotation.json").read_text())["database"]
    assert len(database) == 4
    for name, video in database.items():
        time_s, _ = read(tmp_path / "out" / "videos" / f"{name}.mp4")
        assert video["duration"] == pytest.approx(time_s[-1] + np.diff(time_s).mean(), abs=1e-3)
        assert {entry["label"] for entry in video["annotations"]} <= {
            *("BodyWeightSquats", "HandstandPushups", "JumpingJack", "PullUps")
        }
        assert all(1 < entry["segment"][1] - entry["segment"][0] < 20 for entry in video["annotations"])
