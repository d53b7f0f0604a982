"""Rendered untrimmed videos act when their annotation says so, and give away no times in their labels."""

import csv
import itertools
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attn.datasets import activitynet, thumos14
from attn.datasets.split import read_label_sets
from attn.errors import UsageError
from attn.synthetic import untrimmed
from attn.synthetic.actions import ACTIONS
from attn.synthetic.annotated_video import IDLE, RATES, write_annotated
from attn.synthetic.shift import DomainShift
from attn.synthetic.untrimmed import Rendering, Shot, render_untrimmed
from attn.synthetic.untrimmed_set import PARTS, UntrimmedSet, open_set
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader

NAMES = ("Jump", "Hug", "Kick")
COUNTS = {"training": 5, "test": 6}


def contents(folder: str | Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def short():
    """Videos of a few seconds, so that they are rendered at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(untrimmed, "LENGTH_S", (3.0, 5.0))
        patch.setattr(untrimmed, "ACTING_S", (0.6, 1.2))
        patch.setattr(untrimmed, "BESIDE_S", (0.4, 0.8))
        patch.setattr(untrimmed, "IDLE_S", (1.0, 2.0))
        yield


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> UntrimmedSet:
    out = str(tmp_path_factory.mktemp("untrimmed"))
    return render_untrimmed(out, **COUNTS, seed=3, class_names=NAMES, clips=(1, 2), workers=1)


@pytest.fixture
def standing(still) -> list[Shot]:
    """Shots of a video with two actions, in which people only stand and act."""
    shots = Rendering(NAMES, 1, (2, 2), 0.0, still).shots("test", 1, np.random.default_rng(0))
    return [replace(shot, clip=replace(shot.clip, walks=False)) for shot in shots]


def changes(images: np.ndarray) -> np.ndarray:
    """Mean change from each frame to the next, in grey levels."""
    return np.abs(np.diff(images.astype(np.int16), axis=0)).mean((1, 2, 3))


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_people_are_still_in_idle_frames_and_move_in_all_others(fps, standing):
    acting = next(shot for shot in standing if shot.label != IDLE)
    labels, images = zip(*acting.frames(fps, np.random.default_rng(0)), strict=True)
    moved = changes(np.stack(images)) > 0
    kinds = [kind for kind, _ in itertools.groupby(labels)]
    assert kinds == [IDLE, thumos14.AMBIGUOUS, acting.label, thumos14.AMBIGUOUS, IDLE]
    idle = np.array([before == after == IDLE for before, after in itertools.pairwise(labels)])
    assert not moved[idle].any()
    assert moved[~idle].mean() > 0.9
    assert labels.count(acting.label) / fps == pytest.approx((acting.clip.stop - acting.clip.start) / 25 - 0.8, abs=0.1)


def test_what_the_decoder_returns_moves_inside_the_segments(standing, tmp_path):
    fps, rng = RATES[2], np.random.default_rng(0)
    frames = itertools.chain.from_iterable(shot.frames(fps, rng) for shot in standing)
    video = write_annotated(str(tmp_path / "v.mp4"), "v", frames, fps, 1)
    with FrameReader() as reader:
        read = [(chunk.time_s, chunk.images.copy()) for chunk in reader.read(tmp_path / "v.mp4", Stride(1), None)]
    time_s, images = (np.concatenate(each) for each in zip(*read, strict=True))
    motion, middle_s = changes(images), (time_s[1:] + time_s[:-1]) / 2
    acting, busy = (
        np.any([(middle_s > one.start_s) & (middle_s < one.end_s) for one in segments], axis=0)
        for segments in (video.segments, (*video.segments, *video.ambiguous))
    )
    assert len(video.segments) == 2
    assert np.median(motion[acting]) > 5 * np.quantile(motion[~busy], 0.9)


def test_the_annotation_is_the_same_in_both_forms_and_inside_the_videos(rendered):
    truth = activitynet.read_ground_truth(rendered.annotation, "test")
    other = thumos14.read_annotation(rendered.thumos14)
    assert sorted(truth.segments) == sorted(other.segments)
    assert {*truth.class_names} == {*other.class_names} == {*NAMES}
    assert len(other.ambiguous) == 2 * len(other.segments)
    assert len(truth.video_ids) == COUNTS["test"]
    with FrameReader() as reader:
        for name, duration_s in truth.durations_s.items():
            path = Path(rendered.videos) / f"{name}.mp4"
            last_s = [chunk.time_s[-1] for chunk in reader.read(path, Stride(1), None)][-1]
            assert 1 / 31 < duration_s - last_s < 1 / 23  # a frame of 24 to 30 per second
    assert all(0 < one.start_s < one.end_s < truth.durations_s[one.video_id] for one in truth.segments)


@pytest.mark.parametrize("part", PARTS)
def test_labels_are_those_of_the_segments_without_times(rendered, part):
    truth = activitynet.read_ground_truth(rendered.annotation, part)
    url = {"training": rendered.training_labels, "test": rendered.test_labels}[part]
    sets = read_label_sets(url, rendered.class_names)
    shown = {name: {one.label for one in truth.segments if one.video_id == name} for name in truth.video_ids}
    assert {name: set(classes) for name, classes in sets.items()} == shown
    assert sum(not classes for classes in sets.values()) == 1  # a fifth is background
    with open(url, newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["video_id", "labels"]
    assert all(len(row) == 2 and row[0].startswith(f"video_{part}_") and row[1] in (*NAMES, "") for row in rows[1:])


def test_no_place_and_no_person_is_in_two_videos():
    rendering = Rendering(NAMES, 0, (1, 4), 0.2, DomainShift())
    groups = [rendering.group(part, item) for part in PARTS for item in range(6)]
    assert len({group.world.tobytes() for group in groups}) == len(groups)
    people = [look for group in groups for look in group.looks]
    assert len(set(people)) == len(people)
    same = [rendering.shots("training", 2, np.random.default_rng(seed)) for seed in (0, 1)]
    assert len({shot.clip.group.world.tobytes() for shots in same for shot in shots}) == 1


def test_equal_seeds_give_equal_bytes_however_many_videos(rendered, tmp_path):
    few = render_untrimmed(str(tmp_path), training=2, test=3, seed=3, class_names=NAMES, clips=(1, 2), workers=1)
    first, more = contents(few.videos), contents(rendered.videos)
    assert len(first) == 5
    assert first.items() <= more.items()
    other = tmp_path / "other"
    render_untrimmed(str(other), training=1, test=1, seed=4, class_names=NAMES, clips=(1, 2), workers=1)
    assert contents(other / "videos")["video_test_0000001.mp4"] != more["video_test_0000001.mp4"]


def test_videos_have_none_one_or_two_classes_and_idle_shots_never_act():
    rendering = Rendering(ACTIONS, 0, (1, 4), 0.2, DomainShift())
    plans = [rendering.shots("training", item, np.random.default_rng(item)) for item in range(40)]
    classes = [{shot.label for shot in shots} - {IDLE} for shots in plans]
    assert Counter(map(len, classes)).keys() == {0, 1, 2}
    assert sum(not found for found in classes) == 8
    assert min(Counter(itertools.chain.from_iterable(classes)).values()) >= 4
    idle = [shot for shots in plans for shot in shots if shot.label == IDLE]
    assert not any(shot.clip.acting(at) for shot in idle for at in range(shot.clip.n_frames))


def test_people_who_walk_to_and_fro_stay_in_reach(still):
    rendering = Rendering(("Wave",), 0, (1, 1), 0.0, replace(still, bystander=0.0))
    clip = rendering.shots("training", 0, np.random.default_rng(0))[0].clip
    clip = replace(clip, walks=True, n_frames=200, start=0, stop=0)
    spots = [clip._actors(at)[0] for at in range(200)]
    steps = np.array([actor.step for actor in spots])
    assert steps.max() <= untrimmed.REACH + 0.23
    leaving = np.diff(steps) > 0
    assert 0.3 < leaving.mean() < 0.7
    turned = np.array([actor.turned for actor in spots])[1:]
    assert (turned == leaving).mean() > 0.9  # they look where they walk


def test_a_complete_set_is_opened_and_not_written_again(rendered, tmp_path):
    assert open_set(rendered.root) == rendered
    assert open_set(str(tmp_path / "none")) is None
    with pytest.raises(UsageError, match="has untrimmed videos already"):
        render_untrimmed(rendered.root, workers=1)


def test_an_interrupted_set_is_finished_by_the_same_call(tmp_path, monkeypatch):
    settings = {"training": 1, "test": 1, "class_names": ("Kick",), "workers": 1}
    with monkeypatch.context() as patch:
        patch.setattr(untrimmed, "finish_set", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            render_untrimmed(str(tmp_path), **settings)
    assert open_set(str(tmp_path)) is None
    assert render_untrimmed(str(tmp_path), **settings) == open_set(str(tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_names": ("Jump", "Dance")}, "Dance: the renderer has no such class"),
        ({"class_names": ()}, "the class list is empty"),
        ({"class_names": ("Jump", "Jump")}, "appear twice: Jump"),
        ({"clips": (3, 2)}, "--clips 3 2"),
        ({"background_share": 1.0}, "--background-share 1"),
        ({"test": 0}, "would have no test videos"),
    ],
)
def test_wrong_settings_are_refused(settings, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        render_untrimmed(str(tmp_path), **{"training": 1, "test": 1, "workers": 1, **settings})


def test_other_videos_are_not_mixed_in(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "mine.mp4").write_bytes(b"")
    with pytest.raises(UsageError, match=r"contains another file, mine\.mp4"):
        render_untrimmed(str(tmp_path), training=1, test=1, workers=1)
