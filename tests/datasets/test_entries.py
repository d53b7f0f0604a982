"""Lines keep the numbers an editor shows."""

from attn.datasets.entries import numbered_lines


def test_blank_lines_are_skipped_but_counted():
    assert list(numbered_lines("\na b\r\n  \n c \n\n", "list.txt")) == [
        ("list.txt, line 2", "a b"),
        ("list.txt, line 4", "c"),
    ]
