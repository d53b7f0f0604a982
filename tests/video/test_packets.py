import av
import pytest

from attn.video.packets import IntactPackets, clock_time_s


@pytest.fixture
def cut(tmp_path):
    """A copy of a file without its end."""

    def make(path, keep_bytes):
        short = tmp_path / path.name
        short.write_bytes(path.read_bytes()[:keep_bytes])
        return short

    return make


def count(path):
    with av.open(str(path), metadata_errors="ignore") as container:
        packets = IntactPackets(container, container.streams.video[0])
        return sum(1 for _ in packets), packets.truncated


FORMATS = {
    "avi": (".avi", "mpeg4", {}),
    "mp4": (".mp4", "libx264", {"movflags": "faststart"}),
    "mkv": (".mkv", "libx264", {}),
    "flv": (".flv", "libx264", {}),
}


@pytest.mark.parametrize(("suffix", "codec", "options"), FORMATS.values(), ids=FORMATS.keys())
@pytest.mark.parametrize("most_b_frames", [0, 2])
def test_whole_and_cut_files(suffix, codec, options, most_b_frames, write_clip, numbered, cut):
    path = write_clip(numbered(40), suffix, codec, "yuv420p", most_b_frames=most_b_frames, **options)
    assert count(path) == (40, False)
    found, truncated = count(cut(path, int(0.6 * path.stat().st_size)))
    assert 0 < found < 35
    assert truncated


@pytest.mark.parametrize(("codec", "pix_fmt"), [("mpeg4", "yuv420p"), ("mjpeg", "yuvj420p")])
def test_a_cut_between_two_packets_is_seen_by_the_count(codec, pix_fmt, write_clip, numbered, cut):
    path = write_clip(numbered(20), ".avi", codec, pix_fmt)
    with av.open(str(path)) as container:
        starts = [packet.pos or 0 for packet in container.demux(video=0) if packet.size]
    assert count(cut(path, starts[12])) == (12, True)
    assert count(cut(path, starts[19])) == (19, True)
    assert count(cut(path, starts[12] + 30)) == (12, True)  # the packet that is cut itself is not intact


def test_frames_that_an_encoder_dropped_are_not_missing(write_clip, smooth):
    path = write_clip(smooth(20), ".avi", "mpeg4", "yuv420p", pts=[3 * i for i in range(20)])
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == 58  # declared: one for every tick
    assert count(path) == (20, False)


EDITS = {
    "the first half": [(800, 1024)],
    "two parts": [(600, 1024), (200, 15360)],
    "a pause first": [(500, -1), (600, 6144)],
}


@pytest.mark.parametrize("edits", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize(("codec", "most_b_frames"), [("mpeg4", 0), ("libx264", 2)])
def test_frames_that_an_edit_list_cuts_away_are_not_missing(
    codec, most_b_frames, edits, with_edits, write_clip, smooth
):
    path = write_clip(smooth(40), ".mp4", codec, "yuv420p", most_b_frames=most_b_frames, g="12")
    assert not count(with_edits(path, edits))[1]


def test_real_clips_are_whole(real_clip):
    """Although some declare packed B-frames that give no frame."""
    assert not count(real_clip)[1]


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00:01.600000000", 1.6), ("01:02:03.5", 3723.5), ("1.6", None), ("a:b:c", None)]
)
def test_matroska_durations(text, seconds):
    assert clock_time_s(text) == seconds
