import pytest

from attn.video.reading import Reading, VideoEnd


def steps(*items):
    yield from items
    return VideoEnd(truncated=True, decoder="pyav")


def test_items_come_then_the_end():
    reading = Reading(steps(1, 2, 3))
    assert list(reading) == [1, 2, 3]
    assert reading.end == VideoEnd(truncated=True, decoder="pyav")
    assert next(reading, None) is None
    assert reading.end.truncated


def test_there_is_no_end_before_everything_was_read():
    reading = Reading(steps(1, 2))
    next(reading)
    with pytest.raises(RuntimeError, match="not been read to its end"):
        _ = reading.end


def test_a_closed_reading_yields_no_more():
    reading = Reading(steps(1, 2))
    next(reading)
    reading.close()
    assert list(reading) == []
    with pytest.raises(RuntimeError):
        _ = reading.end
