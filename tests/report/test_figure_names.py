import pytest

from attn.report.figure_names import file_name, printable, shortened

NAMES = ["v_Wave_g01_c01", "a/b\\c:d*?", "..", "$x_{1}$\n", "发球", "bad\udcff", "é" * 200, "z" * 300]


def test_plain_names_stay_as_they_are() -> None:
    assert file_name("v_Wave_g01_c01", "Soccer Juggling") == "v_Wave_g01_c01.Soccer Juggling.png"


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_one_file_of_any_file_system(name: str) -> None:
    found = file_name(name, name)
    assert len(found.encode("ascii")) <= 255
    assert not set(found) & set('/\\:*?"<>|\n\0')


def test_names_that_differ_only_past_the_cut_stay_apart() -> None:
    assert file_name("z" * 300, "a") != file_name("z" * 301, "a")


def test_what_the_font_lacks_is_replaced() -> None:
    assert printable("Père · a$b_1") == "Père · a$b_1"
    assert printable("a\n发\udcff🦄") == "a" + "\N{REPLACEMENT CHARACTER}" * 4


def test_long_text_loses_its_middle() -> None:
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghij", 7) == "abc…hij"
    assert len(shortened("x" * 99, 8)) <= 8
