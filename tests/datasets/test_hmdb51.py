"""HMDB51's lists: the file names the class, a flag the part."""

import pytest

from attn.datasets.hmdb51 import LISTS, benchmark, parse_list, split_number
from attn.errors import UsageError

TEXT = "#20_wave_f_nm_np1_fr_goo_0.avi 1 \nRATRACE_wave_f_nm_np1_fr_goo_37.avi 2 \n\nunused_wave.avi 0\nb.avi 2\n"


@pytest.mark.parametrize(
    ("part", "video_ids"),
    [
        ("train", ["#20_wave_f_nm_np1_fr_goo_0"]),
        ("test", ["RATRACE_wave_f_nm_np1_fr_goo_37", "b"]),
        ("both", ["#20_wave_f_nm_np1_fr_goo_0", "RATRACE_wave_f_nm_np1_fr_goo_37", "b"]),
    ],
)
def test_the_flag_chooses_the_part(part, video_ids):
    entries = list(parse_list(TEXT, "brush_hair_test_split2.txt", "here", part))
    assert [entry.video_id for entry in entries] == video_ids
    assert {entry.label for entry in entries} == {"brush_hair"}


@pytest.mark.parametrize("line", ["a.avi 3", "a.avi", "a 1", "1", "a.avi -1", "wave/a.avi one"])
def test_a_line_of_another_form_is_named(line):
    with pytest.raises(UsageError, match=r"here, line 2: .* is not an HMDB51 entry"):
        list(parse_list(f"a.avi 1\n{line}\n", "wave_test_split1.txt", "here", "test"))


def test_a_file_that_names_no_class_is_refused():
    with pytest.raises(UsageError, match="<class>_test_split<number>"):
        list(parse_list(TEXT, "wave.txt", "here", "test"))


@pytest.mark.parametrize(
    ("name", "number"), [("wave_test_split1.txt", 1), ("brush_hair_test_split3.txt", 3), ("testlist01.txt", None)]
)
def test_split_number(name, number):
    assert split_number(name) == number


def write_lists(folder):
    folder.mkdir(parents=True)
    for number, flags in {1: (1, 2), 2: (2, 1)}.items():
        for name in ("brush_hair", "wave"):
            lines = [f"{name}_{i}.avi {flag}\n" for i, flag in enumerate((*flags, 0))]
            (folder / f"{name}_test_split{number}.txt").write_text("".join(lines))


@pytest.mark.parametrize("place", ["", LISTS])
def test_splits_are_those_of_the_lists(tmp_path, place):
    write_lists(tmp_path / "hmdb51" / place)
    found = benchmark(str(tmp_path / "hmdb51"), None)
    first, second = found.splits
    assert found.class_names == ("brush_hair", "wave")
    assert first.train == second.test == {"brush_hair_0": "brush_hair", "wave_0": "wave"}
    assert first.test == second.train == {"brush_hair_1": "brush_hair", "wave_1": "wave"}


def test_a_folder_without_lists_is_refused(tmp_path):
    with pytest.raises(UsageError, match=rf"no lists .* found\. Put the official folder {LISTS} into it\."):
        benchmark(str(tmp_path), None)
