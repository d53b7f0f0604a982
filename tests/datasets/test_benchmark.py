"""One call opens every data set."""

from typing import cast, get_args

import pytest

from attn.datasets.benchmark import BenchmarkName, open_benchmark
from attn.errors import UsageError


@pytest.fixture
def roots(tmp_path):
    """Two videos of each data set, in its official layout; folder by name."""
    lists = tmp_path / "ucf101" / "ucfTrainTestlist"
    for folder in (lists, tmp_path / "ucf101" / "UCF-101", tmp_path / "ucf101" / "images"):
        folder.mkdir(parents=True)
    (lists / "classInd.txt").write_text("1 Wave\n")
    for number in (1, 2, 3):
        (lists / f"trainlist{number:02}.txt").write_text("Wave/v_Wave_g01_c01.avi 1\n")
        (lists / f"testlist{number:02}.txt").write_text("Wave/v_Wave_g02_c01.avi\n")
    for name, clips in {"tvhi": ("hug_0001", "hug_0002"), "ut_interaction": ("0_1_4", "6_2_4")}.items():
        (tmp_path / name).mkdir()
        for clip in clips:
            (tmp_path / name / f"{clip}.avi").touch()
    for group in ("01", "02"):
        folder = tmp_path / "ucf11" / "action_youtube_naudio" / "walking" / f"v_walk_dog_{group}"
        folder.mkdir(parents=True)
        (folder / f"v_walk_dog_{group}_01.avi").touch()
    (tmp_path / "hmdb51").mkdir()
    (tmp_path / "hmdb51" / "wave_test_split1.txt").write_text("a.avi 1\nb.avi 2\n")
    something = tmp_path / "something_v2"
    (something / "20bn-something-something-v2").mkdir(parents=True)
    (something / "labels").mkdir()
    (something / "labels" / "labels.json").write_text('{"Holding something": "0", "Moving something up": "1"}')
    for part, number in (("train", 1), ("validation", 2)):
        (something / "labels" / f"{part}.json").write_text(f'[{{"id": "{number}", "template": "Holding [something]"}}]')
    names = dict.fromkeys(get_args(BenchmarkName), tmp_path / "ucf101")
    names |= {name: tmp_path / name for name in ("hmdb51", "tvhi", "ut_interaction", "something_v2")}
    return names | dict.fromkeys(("ucf11", "ucf11_975", "ucf11_random"), tmp_path / "ucf11")


@pytest.mark.parametrize("name", get_args(BenchmarkName))
def test_every_name_opens_its_own_data_set(roots, name):
    found = open_benchmark(name, str(roots[name]))
    assert found.name == name
    assert found.splits
    assert found.images == (str(roots[name] / "images") if name == "synthetic" else None)
    for split in found.splits:
        assert set((split.train | split.test).values()) <= set(found.class_names)


def test_images_are_passed_on(roots, tmp_path):
    for name, root in roots.items():
        assert open_benchmark(name, str(root), str(tmp_path)).images == str(tmp_path)


def test_an_unknown_name(tmp_path):
    with pytest.raises(
        UsageError,
        match=r"data set 'kinetics': unknown\. Choose from ucf101, hmdb51, ucf11, ucf11_975, ucf11_random, tvhi",
    ):
        open_benchmark(cast("BenchmarkName", "kinetics"), str(tmp_path))
