import pytest

from attn.engine.allowance import allowed_failures, told_failures


@pytest.mark.parametrize(
    ("fraction", "videos", "allowed"),
    [(0.01, 9, 0), (0.01, 199, 1), (0.29, 100, 29), (0.07, 100, 7), (1, 3, 3), (0, 3, 0)],
)
def test_whole_videos_are_allowed_to_fail(fraction, videos, allowed):
    assert allowed_failures(fraction, videos) == allowed


def test_the_message_shows_all_numbers():
    assert told_failures(3, 9, 0.01) == "3 of 9 videos failed, at most 0 are allowed (a share of 0.01)"
