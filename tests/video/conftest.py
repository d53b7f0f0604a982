"""Real clips as parameters of tests, a decoder of a test's own, a clip that keeps it busy."""

from pathlib import Path

import pytest

from attn.video.guard import FrameReader


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`real_clip`: every real clip at hand, one test each; `some_real_clip`: few, of every origin."""
    root = Path(__file__).resolve().parents[3] / "shared" / "data"
    clips = sorted(path for kind in ("avi", "mp4") for path in root.rglob(f"*.{kind}"))
    some = [clip for clip in clips if clip.parent.name != "set1" or clip.stem == "17_3_0"]
    absent = [pytest.param(None, marks=pytest.mark.skip(reason="real data not present"))]
    for name, wanted in (("real_clip", clips), ("some_real_clip", some)):
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
