"""Real clips as parameters of tests, a decoder of a test's own, a clip that keeps it busy."""

import struct
from collections import defaultdict
from pathlib import Path

import pytest

from attn.video.sandbox.guard import FrameReader

REAL_CLIPS = Path(__file__).resolve().parents[3] / "shared" / "data"
A_FEW, SEVERAL = 2, 8
SMALL_BYTES = 50_000
"""Size of a file that may hold so few frames that nothing is left of it when it is cut."""
ODD = "17_3_0"
"""A clip of UT-Interaction that declares more frames than it has."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`real_clip`: several real clips of every origin, the others in long tests; `some_real_clip`: few of every one."""
    origins = defaultdict[str, list[Path]](list)
    for clip in sorted(path for kind in ("avi", "mp4") for path in REAL_CLIPS.rglob(f"*.{kind}")):
        origins[clip.relative_to(REAL_CLIPS).parts[0]].append(clip)
    marks = {clip: pytest.mark.long for clips in origins.values() for clip in clips[SEVERAL:]}
    every = [pytest.param(clip, marks=marks.get(clip, ())) for clips in origins.values() for clip in clips]
    large = [[clip for clip in clips if clip.stat().st_size >= SMALL_BYTES] for clips in origins.values()]
    some = [clip for clips in large for place, clip in enumerate(clips) if place < A_FEW or clip.stem == ODD]
    absent = [pytest.param(None, marks=pytest.mark.skip(reason="real data not present"))]
    for name, wanted in (("real_clip", every), ("some_real_clip", some)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, wanted or absent, ids=lambda clip: getattr(clip, "stem", "none"))


@pytest.fixture
def reader():
    with FrameReader() as own:
        yield own


@pytest.fixture(scope="module")
def long_clip(write_clip, numbered):
    """More chunks than there are slots."""
    return write_clip(numbered(400, 16, 16))


@pytest.fixture(scope="session")
def with_edits():
    """A copy of an MP4 file, its index behind, with an edit list of these (duration in 1/1000 s, start in ticks).

    A start of -1 shows nothing so long.
    """

    def write(path: Path, edits: list[tuple[int, int]]) -> Path:
        data = path.read_bytes()
        start = data.index(b"elst") - 4
        (size,) = struct.unpack_from(">I", data, start)
        entries = b"".join(struct.pack(">IiI", duration, media_time, 1 << 16) for duration, media_time in edits)
        box = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
        changed = bytearray(data[:start] + box + data[start + size :])
        for name in (b"edts", b"trak", b"moov"):
            place = changed.rindex(name, 0, start) - 4
            struct.pack_into(">I", changed, place, struct.unpack_from(">I", changed, place)[0] + len(box) - size)
        edited = path.with_name(f"{path.stem}-edited.mp4")
        edited.write_bytes(changed)
        return edited

    return write
