"""Something-Something V2 in its official layout: generated lists and videos of the same form, and wrong files."""

import json

import av
import numpy as np
import pytest

from attn.commands.decode_frames import decode_listed
from attn.commands.decode_frames_options import DecodeFramesOptions
from attn.commands.train_clip_cnn_plan import make_clip_training
from attn.datasets import something_v2
from attn.datasets.split import classes_of_list, read_split
from attn.errors import UsageError
from attn.training.clip_options import TrainClipCnnOptions
from attn.video.source import list_videos

CLASSES = ("Moving something up", "Holding something next to something", "Pretending to put something on a surface")
TEMPLATES = (
    "Moving [something] up",
    "Holding [something] next to [something]",
    CLASSES[2].replace("something", "[something]"),
)


def listed(*videos):
    """Entries with the fields of the official lists."""
    return [
        {"id": video, "label": "moving cup up", "template": TEMPLATES[number], "placeholders": ["cup"]}
        for video, number in videos
    ]


@pytest.fixture
def root(tmp_path):
    (tmp_path / something_v2.VIDEOS).mkdir()
    (tmp_path / "labels").mkdir()
    # The order of the ids is not that of the file.
    (tmp_path / "labels" / "labels.json").write_text(json.dumps({CLASSES[i]: str(i) for i in (2, 0, 1)}))
    (tmp_path / "labels" / "train.json").write_text(json.dumps(listed(("78687", 0), ("4218", 1), ("10", 2))))
    (tmp_path / "labels" / "validation.json").write_text(json.dumps(listed(("74225", 1))))
    return tmp_path


def write_webm(path, frames):
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libvpx-vp9", rate=12)
        stream.width = stream.height = 32
        for shade in np.linspace(0, 255, frames):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), int(shade), np.uint8))
            file.mux(stream.encode(picture))
        file.mux(stream.encode())


@pytest.mark.parametrize("place", something_v2.PLACES)
def test_lists_of_every_release_are_read(root, place):
    for name in ("labels", "train", "validation"):
        (root / "labels" / f"{name}.json").rename(root / place.format(name))
    found = something_v2.benchmark(str(root), None)
    assert found.class_names == CLASSES
    (split,) = found.splits
    assert split.train == {"78687": CLASSES[0], "4218": CLASSES[1], "10": CLASSES[2]}
    assert split.test == {"74225": CLASSES[1]}
    assert (found.stride, found.figure) == (1, "top_1")


def test_jobs_take_the_lists_and_the_videos(root, tmp_path):
    for number, frames in (("78687", 6), ("4218", 9), ("10", 7), ("74225", 5)):
        write_webm(root / something_v2.VIDEOS / f"{number}.webm", frames)
    train = str(root / "labels" / "train.json")
    videos = str(root / something_v2.VIDEOS)
    assert {video.video_id for video in list_videos(videos)} == {"78687", "4218", "10", "74225"}
    assert read_split(train) == something_v2.benchmark(str(root), None).splits[0].train
    assert classes_of_list(train, ()) == tuple(sorted(CLASSES))
    frames = DecodeFramesOptions(videos=videos, lists=(train,), out=str(tmp_path / "frames"), input_size=32)
    assert decode_listed(frames) == 0
    options = TrainClipCnnOptions(
        modality="rgb",
        frames=frames.out,
        split=train,
        classes=str(root / "labels" / "labels.json"),
        backbone="small_clip_cnn",
        length=4,
        step=1,
        holdout_fraction=0.0,
        out=str(tmp_path / "student.safetensors"),
    )
    planned = make_clip_training(options)
    assert planned.job.class_names == CLASSES
    found = dict(zip(planned.job.train.video_ids, planned.job.train.labels.tolist(), strict=True))
    assert found == {"78687": 0, "4218": 1, "10": 2}
    assert dict(zip(planned.job.train.video_ids, planned.job.train.num_frames.tolist(), strict=True)) == {
        "78687": 6,
        "4218": 9,
        "10": 7,
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train", "{", "train.json: not JSON"),
        ("train", "{}", "train.json: not a list of videos"),
        ("train", '[{"id": "1"}]', r"train.json, video 1: no id or template"),  # as in the list of the test videos
        ("train", '[{"id": 1, "template": "Moving [something] up"}]', "video 1: id or template is not a text"),
        ("train", '[{"id": "1", "template": "Flying"}]', "class 'Flying' is not among the 3 class names"),
        ("validation", json.dumps(listed(("4218", 1))), "1 videos are in both the training and the test list"),
        ("labels", '{"Moving something up": "1", "Holding": "2"}', "labels.json: not a list of classes"),
        ("labels", "[]", "labels.json: not a list of classes"),
    ],
)
def test_wrong_lists(root, name, text, message):
    (root / "labels" / f"{name}.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        something_v2.benchmark(str(root), None)


def test_missing_files(root):
    (root / "labels" / "train.json").unlink()
    with pytest.raises(UsageError, match=r"train\.json: missing\. Put the official lists into"):
        something_v2.benchmark(str(root), None)
    (root / something_v2.VIDEOS).rmdir()
    with pytest.raises(UsageError, match="20bn-something-something-v2: not a folder"):
        something_v2.benchmark(str(root), None)
