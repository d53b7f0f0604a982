"""adapt_cnn on real clips, in this process and on a real local Ray."""

import dataclasses
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from attn.commands.adapt_cnn import adapt_cnn
from attn.commands.adapt_options import AdaptOptions
from attn.engine import frame_samples
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS, EXIT_INTERRUPTED
from attn.engine.frame_samples import FrameBank, choose_videos, fill_bank
from attn.errors import UsageError
from attn.models.adapt import adapt, reestimate
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, load_checkpoint, load_weights, save_checkpoint
from attn.models.finetune import Normaliser
from attn.stages.align import reader, spread
from attn.stages.decode_videos import DecodeVideos
from attn.stages.frame_sample import FrameSample, sample_videos
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import Video, list_videos

NAMES = ("Wave", "Kick", "Hug")
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small CNN with statistics of its own, for images of 64 pixels."""
    torch.manual_seed(0)
    backbone = build_backbone("small_cnn", 3)
    reestimate(backbone, [torch.randn(8, 3, 64, 64)])
    path = tmp_path_factory.mktemp("weights") / "cnn.safetensors"
    save_checkpoint(str(path), Cnn(backbone, "small_cnn", NAMES, 64, MEAN, STD, {"epochs": 3}))
    return path


@pytest.fixture
def options(clip_folder: Path, weights: Path, tmp_path: Path) -> AdaptOptions:
    """255 frames in six clips of 1 to 130."""
    return AdaptOptions(str(weights), str(clip_folder), str(tmp_path / "out.safetensors"), stride=1, frames=200)


def statistics(url: str | Path) -> dict[str, torch.Tensor]:
    weights = load_checkpoint(str(url)).backbone.export_weights()
    return {name: tensor for name, tensor in weights.items() if "running_" in name}


def test_without_its_classifier_an_adapted_cnn_starts_a_training_of_any_classes(options: AdaptOptions) -> None:
    assert adapt_cnn(dataclasses.replace(options, features_only=True)) == 0
    cnn = load_weights(options.out, classes=("Run", "Jump"), new_classifier=True)
    assert cnn.new_classifier
    assert cnn.trained["adapted"]["frames"] == 128
    with pytest.raises(UsageError, match="can only start a training"):
        load_checkpoint(options.out)


def test_the_statistics_are_those_of_frames_of_all_videos(options: AdaptOptions, weights: Path) -> None:
    assert adapt_cnn(options) == 0
    before, after = load_checkpoint(str(weights)), load_checkpoint(options.out)
    assert dataclasses.replace(after, backbone=before.backbone, weights_sha256=before.weights_sha256, trained={}) == (
        dataclasses.replace(before, trained={})
    )
    told = after.trained["adapted"]
    assert after.trained["epochs"] == 3
    assert (told["videos"], told["frames"], told["from"]) == (6, 128, before.weights_sha256)
    assert (told["seed"], told["lists"], told["failed"]) == (0, [], [])
    stage, bank = DecodeVideos(Stride(1), 64, 10), FrameBank(1000, 64)
    with FrameReader() as reader:
        for item in sample_videos(list_videos(options.videos), reader, stage=stage, per_video=34):
            assert isinstance(item, FrameSample)
            bank.add(item)
    assert sorted(bank.counts.values()) == [1, 4, 23, 34, 34, 34]
    adapt(before.backbone, bank.pixels, bank.order(0, 200), Normaliser(MEAN, STD, torch.device("cpu")))
    for name, tensor in before.backbone.export_weights().items():
        torch.testing.assert_close(after.backbone.export_weights()[name], tensor, rtol=1e-5, atol=1e-6)


def test_the_same_again_does_nothing_and_another_is_refused(
    options: AdaptOptions, caplog: pytest.LogCaptureFixture
) -> None:
    assert adapt_cnn(options) == 0
    written = Path(options.out).read_bytes()
    with caplog.at_level(logging.INFO):
        assert adapt_cnn(dataclasses.replace(options, max_failed_fraction=0.5)) == 0
    assert "already finished (128 frames of 6 videos)" in caplog.text
    for other in ({"seed": 1}, {"frames": 190}, {"stride": 2}, {"batch_size": 32}, {"mean": (0.1, 0.5, 0.5)}):
        with pytest.raises(UsageError, match="made with other settings or inputs"):
            adapt_cnn(dataclasses.replace(options, **other))
    assert Path(options.out).read_bytes() == written


def test_an_adapted_checkpoint_needs_a_flag(options: AdaptOptions, tmp_path: Path) -> None:
    assert adapt_cnn(options) == 0
    again = dataclasses.replace(options, weights=options.out, out=str(tmp_path / "again.safetensors"))
    with pytest.raises(UsageError, match=r"already adapted to 128 frames of 6 videos. Give --allow-adapted"):
        adapt_cnn(again)
    assert adapt_cnn(dataclasses.replace(again, allow_adapted=True)) == 0
    torch.testing.assert_close(statistics(again.out), statistics(options.out), rtol=0, atol=0)
    assert load_checkpoint(again.out).trained["adapted"]["from"] == load_checkpoint(options.out).weights_sha256


@pytest.mark.long
def test_ray_gives_the_statistics_of_one_process(
    on_ray, options: AdaptOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two decode tasks at a time, one of which meets a file that is no video."""
    videos = tmp_path / "videos"
    videos.mkdir()
    for path in Path(options.videos).rglob("*.avi"):
        (videos / path.name).symlink_to(path)
    (videos / "broken.avi").write_text("no video")
    here = dataclasses.replace(options, videos=str(videos), max_failed_fraction=0.2, allow_few=True)
    there = dataclasses.replace(here, out=str(tmp_path / "ray.safetensors"))
    assert adapt_cnn(here) == 0
    monkeypatch.setattr(frame_samples, "needs_no_ray", lambda videos: False)
    assert adapt_cnn(there) == 0
    torch.testing.assert_close(statistics(there.out), statistics(here.out), rtol=1e-5, atol=1e-6)
    told = load_checkpoint(there.out).trained["adapted"]
    assert told == load_checkpoint(here.out).trained["adapted"]
    assert told["failed"] == ["broken"]


def samples() -> list[FrameSample]:
    random_state = np.random.default_rng(0)
    return [
        FrameSample(f"v{i}", np.arange(9, dtype=np.int32), random_state.integers(0, 256, (9, 32, 32, 3), np.uint8))
        for i in range(20)
    ]


def bank_of(found: Sequence[FrameSample]) -> FrameBank:
    bank = FrameBank(200, 32)
    for sample in found:
        bank.add(sample)
    return bank


def test_the_order_of_arrival_does_not_matter() -> None:
    torch.manual_seed(0)
    backbone, found = build_backbone("small_cnn", 3), []
    arrived = samples()
    for _ in range(2):
        bank = bank_of(arrived)
        rows = bank.order(5, 150)
        adapt(backbone, bank.pixels, rows, Normaliser(MEAN, STD, torch.device("cpu")), batch_size=50)
        found.append(({k: v.clone() for k, v in backbone.state_dict().items()}, bank.names(rows)))
        random.Random(1).shuffle(arrived)
    assert found[0][1] == found[1][1]
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)


def test_every_batch_mixes_videos() -> None:
    bank = bank_of(samples())
    assert len(bank.pixels) == 180
    for seed in (0, 1):
        names = bank.names(bank.order(seed, 64))
        assert len(set(names)) == 64
        assert len({video_id for video_id, _ in names}) > 15
    assert bank.names(bank.order(0, 64)) != bank.names(bank.order(1, 64))
    assert bank.names(bank.order(0, 30)) == bank.names(bank.order(0, 64))[:30]


def test_at_most_as_many_videos_as_frames() -> None:
    videos = [Video(f"v{i}", "", None, None, None) for i in range(50)]
    chosen = choose_videos(videos, 20, seed=0)
    assert len(chosen) == 20
    assert chosen == [video for video in videos if video in chosen]
    assert choose_videos(videos[::-1], 20, seed=0) == chosen[::-1]
    assert choose_videos(videos, 20, seed=1) != chosen
    assert set(choose_videos(videos, 10, seed=0)) < set(chosen)
    assert choose_videos(videos, 50, seed=0) == videos


def test_what_dies_is_tried_again_alone_and_then_has_failed() -> None:
    """Chains that lose some videos, as one does whose tasks die."""
    videos = [Video(f"v{i}", f"v{i}.avi", None, None, None) for i in range(20)]
    deaths, asked = {"v3": 1, "v7": 3}, []

    def chain(left: Sequence[Video], stage: DecodeVideos, most: int) -> Iterator[FrameSample]:
        asked.append(([video.video_id for video in left], stage.attempt, stage.last_try, most))
        names = {video.video_id for video in left}
        yield from (one for one in samples() if one.video_id in names and deaths.get(one.video_id, 0) < stage.attempt)

    bank = FrameBank(200, 32)
    failed = fill_bank(bank, videos, DecodeVideos(Stride(1), 32, 8), chain)
    assert bank.counts.keys() == {f"v{i}" for i in range(20)} - {"v7"}
    assert {name: (one.error, one.attempt) for name, one in failed.items()} == {"v7": ("WorkerDied", 3)}
    assert asked[1:] == [(["v3", "v7"], 2, False, 1), (["v7"], 3, True, 1)]


def test_lists_choose_the_videos(options: AdaptOptions, tmp_path: Path) -> None:
    split = tmp_path / "list.txt"
    split.write_text("Wave/v_Wave_g04_c01.avi 1\nKick/v_Kick_g05_c01.avi 2\nKick/v_Kick_g99_c01.avi 2\n")
    assert adapt_cnn(dataclasses.replace(options, lists=(str(split),))) == 0
    told = load_checkpoint(options.out).trained["adapted"]
    assert (told["videos"], told["lists"]) == (2, [str(split)])


def test_too_many_failures(options: AdaptOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "broken.avi").write_text("no video")
    for path in Path(options.videos).rglob("*.avi"):
        (tmp_path / "videos" / path.name).symlink_to(path)
    with caplog.at_level(logging.INFO):
        assert adapt_cnn(dataclasses.replace(options, videos=str(tmp_path / "videos"))) == EXIT_FAILED_VIDEOS
    assert "failed: broken: " in caplog.text
    assert "videos failed, at most 0 are allowed (a share of 0.01); nothing was written" in caplog.text
    assert not Path(options.out).exists()


def test_a_dry_run_opens_nothing(options: AdaptOptions, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broken.avi").write_text("no video")
    with caplog.at_level(logging.INFO):
        assert adapt_cnn(dataclasses.replace(options, videos=str(tmp_path), dry_run=True)) == 0
    assert "dry run: 1 videos, up to 200 frames of 64 pixels (up to 200 per video, 2 MB of memory)" in caplog.text
    assert not Path(options.out).exists()


def test_an_interruption_leaves_nothing(options: AdaptOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("attn.commands.adapt_cnn.sample_frames", interrupted)
    assert adapt_cnn(options) == EXIT_INTERRUPTED
    assert not Path(options.out).exists()


def test_weights_without_a_classifier_stay_without(options: AdaptOptions, weights: Path, tmp_path: Path) -> None:
    tensors = load_checkpoint(str(weights)).backbone.export_weights()
    bare, classes = tmp_path / "features.pth", tmp_path / "classes.txt"
    torch.save({name: tensor for name, tensor in tensors.items() if name.startswith("features")}, bare)
    classes.write_text("\n".join(NAMES))
    how = {"weights": str(bare), "backbone": "small_cnn", "mean": MEAN, "std": STD, "input_size": 64}
    with pytest.raises(UsageError, match="Weights without a classifier can only start a training run"):
        adapt_cnn(dataclasses.replace(options, **how))
    assert adapt_cnn(dataclasses.replace(options, **how, classes=str(classes))) == 0
    with pytest.raises(UsageError, match="Weights without a classifier can only start a training run"):
        load_checkpoint(options.out)
    start = load_weights(options.out, classes=NAMES, new_classifier=True)
    assert (start.new_classifier, start.mean, start.trained["adapted"]["frames"]) == (True, MEAN, 128)
    classes.write_text("One\nTwo")
    for prefix in ("", "module."):
        torch.save({prefix + name: tensor for name, tensor in tensors.items()}, bare)
        with pytest.raises(UsageError, match="the classifier has 3 outputs, not 2"):
            adapt_cnn(dataclasses.replace(options, **how, classes=str(classes), out=str(tmp_path / "o.safetensors")))


def test_a_cnn_without_batchnorm_gets_the_spread_of_web_images(options: AdaptOptions, tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = str(tmp_path / "plain.safetensors")
    save_checkpoint(plain, Cnn(build_backbone("squeezenet1_0", 3), "squeezenet1_0", NAMES, 64, MEAN, STD))
    web, rng = tmp_path / "web", np.random.default_rng(0)
    for name in NAMES:
        (web / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(web / name / f"{number}.png")
    (web / "Wave" / "broken.png").write_text("no image")
    given = dataclasses.replace(options, weights=plain, images=str(web))
    assert adapt_cnn(given) == 0
    before, after = load_checkpoint(plain), load_checkpoint(given.out)
    told = after.trained["adapted"]
    assert (told["images"], told["frames"], told["videos"]) == (12, 130, 6)
    weights = [reader(cnn.backbone, plain).weight for cnn in (before, after)]
    ratio = (weights[1] / weights[0]).mean(dim=(0, 2, 3))
    assert told["factor"] == pytest.approx(ratio.log().abs().mean().exp().item(), rel=1e-3)
    normalise = Normaliser(MEAN, STD, torch.device("cpu"))
    pixels = np.stack([np.asarray(Image.open(path)) for path in sorted(web.rglob("[0-9].png"))])
    wanted, _ = spread(before.backbone, [normalise(torch.from_numpy(pixels))])
    assert ratio[wanted == 0].eq(1).all()
    assert adapt_cnn(given) == 0  # finished already
    with pytest.raises(UsageError, match=r"are stored in the classifier, and \S+ would have none"):
        adapt_cnn(dataclasses.replace(given, features_only=True, out=str(tmp_path / "features.safetensors")))
    with pytest.raises(UsageError, match=r"has BatchNorm and needs no images\. Leave out --images"):
        adapt_cnn(dataclasses.replace(options, images=str(web), out=str(tmp_path / "other.safetensors")))


def flat_clips(folder: Path, write_clip: Callable[..., Path]) -> str:
    clip = write_clip([np.full((64, 64, 3), 90, np.uint8)] * 200, name="flat.mkv")
    (folder / "flat.mkv").symlink_to(clip)
    return str(folder / "flat.mkv")


def test_bad_input_is_refused(
    options: AdaptOptions, small_weights: Path, tmp_path: Path, write_clip: Callable[..., Path]
) -> None:
    none = tmp_path / "none"
    none.mkdir()
    taken = tmp_path / "taken.safetensors"
    taken.write_bytes(small_weights.read_bytes())
    torch.manual_seed(0)
    plain = tmp_path / "plain.pth"
    torch.save(build_backbone("squeezenet1_0", 1000).export_weights(), plain)
    flat = flat_clips(tmp_path, write_clip)
    cases: list[tuple[dict, str]] = [
        ({"videos": str(none)}, f"{none}: no files found"),
        (
            {"weights": str(plain), "backbone": "squeezenet1_0"},
            "squeezenet1_0 has no BatchNorm and so no statistics to re-estimate. Give its training images",
        ),
        ({"weights": str(small_weights)}, f"{small_weights}: every BatchNorm mean is 0 and every variance is 1"),
        ({"frames": 127}, "--frames: 127 frames, too few for stable BatchNorm statistics. Give 128 frames or more"),
        ({"frames": 31, "allow_few": True}, "--frames: 31 frames, too few for stable BatchNorm statistics. Give 32"),
        ({"stride": 5}, "53 frames, too few for stable BatchNorm statistics. Give 128 frames or more"),
        ({"videos": flat}, f"{flat}: all frames are alike"),
        ({"out": str(tmp_path / "out.pth")}, "ends in .safetensors"),
        ({"out": str(taken)}, f"{taken}: made with other settings or inputs"),
        ({"batch_size": 31}, "--batch-size 31: must be at least 32"),
        ({"max_failed_fraction": 2.0}, "--max-failed-fraction 2"),
        ({"decode_timeout_s": 0.0}, "--decode-timeout-s 0"),
        ({"stride": 0}, "--stride 0"),
        ({"mean": (float("nan"), 0.0, 0.0)}, "--mean nan 0.0 0.0: must be finite."),
        ({"std": (float("inf"), 1.0, 1.0)}, "--std inf 1.0 1.0: must be finite and above 0."),
        ({"frames": 10**9}, "--frames 1000000000: too many for the memory of this machine"),
    ]
    for change, said in cases:
        with pytest.raises(UsageError) as refused:
            adapt_cnn(dataclasses.replace(options, **change))
        assert said in str(refused.value), change
        assert "\n" not in str(refused.value)
        assert not Path(options.out).exists()
    few = dataclasses.replace(options, stride=5, allow_few=True)
    assert adapt_cnn(few) == 0
    assert load_checkpoint(few.out).trained["adapted"]["frames"] == 53
