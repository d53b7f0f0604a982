"""A dry run looks at few videos, says so, and no video can hurt it."""

import os
from pathlib import Path

import av
import pytest

from attn.commands.estimate import SAMPLE_VIDEOS, Estimate, estimate
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import make_plan
from attn.engine.placement import Placement
from attn.video import source

PLACEMENT = Placement((1, 1), 0, 1, 0.5, 1, 1)


def estimate_of(videos: Path, weights: Path, **flags: object) -> Estimate:
    options = PrecomputeOptions(videos=str(videos), out=str(videos.parent / "store"), weights=str(weights), **flags)
    return estimate(make_plan(options), PLACEMENT, overwrite=False)


@pytest.fixture
def many(clip_folder: Path, tmp_path: Path) -> Path:
    """Forty videos: twenty of 60 frames, then twenty of 130."""
    (tmp_path / "videos").mkdir()
    for i in range(40):
        clip = next(clip_folder.glob(f"*/v_*_g0{3 if i < 20 else 4}_c01.avi"))
        os.link(clip, tmp_path / "videos" / f"v{i:02}.avi")
    return tmp_path / "videos"


def test_all_of_few_videos_are_looked_at(clip_folder: Path, small_weights: Path) -> None:
    found = estimate_of(clip_folder, small_weights)
    assert (found.videos, found.sampled, found.unreadable) == (6, 6, 0)
    assert found.frames == pytest.approx((1 + 4 + 23 + 60 + 130 + 37) / 5, abs=1)
    assert "extrapolated" not in str(found)


def test_of_many_a_few_that_are_spread_over_the_list(
    many: Path, small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    whole = source.read_video
    monkeypatch.setattr(source, "read_video", lambda video: opened.append(video.video_id) or whole(video))
    found = estimate_of(many, small_weights)
    assert len(set(opened)) == found.sampled == SAMPLE_VIDEOS == 8
    assert found.frames == 40 * (60 + 130) / 2 / 5
    assert "extrapolated from 8 videos" in str(found)


def test_strangers_videos_are_opened_by_the_confined_process_alone(
    clip_folder: Path, small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This one holds credentials."""

    def opened(*told: object, **named: object) -> None:
        raise AssertionError("a video was opened here")

    monkeypatch.setattr(av, "open", opened)
    monkeypatch.setattr(av.container, "open", opened)
    found = estimate_of(clip_folder, small_weights)
    assert (found.sampled, found.unreadable) == (6, 0)


def test_frames_a_second_are_a_share_of_the_headers_rate(clip_folder: Path, small_weights: Path) -> None:
    found = estimate_of(clip_folder, small_weights, fps=5.0)
    assert found.frames == pytest.approx((1 + 4 + 23 + 60 + 130 + 37) / 5, abs=2)


def test_a_header_without_frames_is_unreadable(many: Path, small_weights: Path) -> None:
    for path in sorted(many.iterdir())[2:]:
        path.unlink()
    data = (many / "v00.avi").read_bytes()
    (many / "v00.avi").unlink()  # a link to the other one
    (many / "v00.avi").write_bytes(data[: data.index(b"movi") + 4])
    found = estimate_of(many, small_weights)
    assert (found.sampled, found.unreadable) == (2, 1)
    assert "1 of these unreadable" in str(found)
