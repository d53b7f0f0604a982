"""Every job finds out before any work that a bucket is not there, not ours or not to be written: one line, code 2, and
no secret anywhere.

The jobs run in this process, where whatever would begin the work raises `BegunError`; no Ray is started.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from attn.commands.cli import run
from attn.commands.decode_frames import decode_frames, fill_frames, plan_frames
from attn.commands.demo import demo
from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.pack import pack
from attn.commands.pack_options import PackOptions
from attn.commands.precompute import precompute
from attn.commands.precompute_options import FramesOptions, PrecomputeOptions
from attn.commands.precompute_plan import make_plan
from attn.commands.reproduction.reproduce import reproduce
from attn.commands.reproduction.reproduce_options import DemoOptions, ReproduceOptions
from attn.commands.search.search import search
from attn.commands.train_cnn import train_cnn
from attn.commands.train_energynet import train_energynet
from attn.engine.filling import StorePlan
from attn.errors import UsageError
from attn.storage.failures import Failure, FailureLog
from attn.training.cnn_options import TrainCnnOptions
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.events import EventFile
from attn.training.search_options import SearchOptions
from attn.training.search_space import Range
from attn.training.trial_records import Trial, write_trial
from attn.video.sample import Stride
from attn.video.source import Video

WORK = (
    "attn.commands.precompute.fill",
    "attn.commands.decode_frames._workplace",
    "attn.engine.train.driver.place_training",
    "attn.commands.search.search.start_ray",
    "attn.commands.reproduction.run_plan.start_ray",
    "attn.commands.reproduction.reproduce.render",
    "attn.commands.evaluate.score_videos",
    "attn.commands.pack.write_shards",
)
JOBS = (
    *("pack", "precompute", "decode_frames", "train_cnn", "train_cnn of videos", "train_energynet", "evaluate"),
    *("search", "reproduce"),
)
SOURCES = (
    ("pack", "clips", ""),
    ("precompute", "clips", ""),
    ("precompute", "weights", "cnn.safetensors"),
    ("precompute", "weights", "cnn.onnx"),
    ("decode_frames", "videos", ""),
    ("train_cnn", "images", ""),
    ("train_cnn of videos", "videos", ""),
    ("train_energynet", "store", ""),
    ("evaluate", "store", ""),
    ("search", "store", ""),
    ("reproduce", "root", ""),
)


WRONG = {"wrong secret": {"secret": "wrong+secret"}, "unknown key": {"key": "AKIAUNHEARD"}}


class BegunError(Exception):
    """A job has begun to work."""


@pytest.fixture
def call(
    clip_folder: Path,
    small_weights: Path,
    photographs: Path,
    footage: Path,
    planted: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., int]:
    """call(job, out=…, …): its exit code; what is not told is local and sound."""

    def begin(*args: Any, **kwargs: Any) -> None:
        raise BegunError

    for name in WORK:
        monkeypatch.setattr(name, begin)
    usual = {
        "clips": str(clip_folder),
        "videos": str(footage / "videos"),
        "weights": str(small_weights),
        "store": str(planted / "store"),
        "root": None,
    }
    lists = {
        "split": str(footage / "split.txt"),
        "train": str(planted / "train.txt"),
        "test": str(planted / "test.txt"),
    }

    def run_job(job: str, out: str, **told: str) -> int:
        url = {**usual, **told}
        cnn: dict[str, Any] = {"backbone": "small_cnn", "out": f"{out}/cnn.safetensors", "input_size": 32, "epochs": 1}
        calls: dict[str, Callable[[], int]] = {
            "pack": lambda: run(pack, PackOptions(url["clips"], out)),
            "precompute": lambda: run(
                precompute, PrecomputeOptions(videos=url["clips"], out=out, weights=url["weights"])
            ),
            "decode_frames": lambda: run(
                decode_frames, FramesOptions(url["videos"], (lists["split"],), out, input_size=32, stride=5)
            ),
            "train_cnn": lambda: run(train_cnn, TrainCnnOptions(images=told.get("images", str(photographs)), **cnn)),
            "train_cnn of videos": lambda: run(
                train_cnn, TrainCnnOptions(videos=url["videos"], split=lists["split"], **cnn)
            ),
            "train_energynet": lambda: run(
                train_energynet, TrainEnergyNetOptions(store=url["store"], split=lists["train"], out=out)
            ),
            "evaluate": lambda: run(evaluate, EvaluateOptions(url["store"], lists["test"], out, methods=("cnn",))),
            "search": lambda: run(
                lambda options: search(options, {"all": {"lr": Range(1e-5, 1e-2, log=True)}}),
                SearchOptions(store=url["store"], split=lists["train"], out=out),
            ),
            "reproduce": lambda: run(reproduce, ReproduceOptions(dataset="synthetic", root=url["root"], out=out)),
        }
        return calls[job]()

    return run_job


def test_sound_calls_begin_to_work(call: Callable[..., int], tmp_path: Path) -> None:
    """Else the tests below would prove nothing."""
    for job in JOBS:
        with pytest.raises(BegunError):
            call(job, str(tmp_path / job))


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("may only read", "do not permit writing. Grant them s3:PutObject"),
        ("wrong secret", "; check "),
        ("unknown key", "; check "),
        ("no bucket", "the bucket does not exist; create it first"),
        ("keys in the URL", "set AWS_ACCESS_KEY_ID and"),
    ],
)
def test_an_output_that_cannot_be_written(
    fault: str,
    says: str,
    s3: str,
    call: Callable[..., int],
    act_as: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    allowed = ["s3:Get*", "s3:List*"] if fault == "may only read" else ["s3:*"]
    user = act_as(allowed, **WRONG.get(fault, {}))
    bucket = f"{s3}-not" if fault == "no bucket" else s3
    url = with_keys(s3, user) if fault == "keys in the URL" else bucket
    for job in JOBS:
        assert call(job, f"{url}/out") == 2, job
        line = capsys.readouterr().err
        assert line.count("\n") == 1, line
        assert line.startswith(f"error: {bucket}/out"), (job, line)
        assert says in line, (job, line)
        check_no_secret(line, s3)
    assert not in_bucket(s3)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("wrong secret", "; check "),
        ("no bucket", "the bucket does not exist; create it first"),
        ("keys in the URL", ""),
    ],
)
def test_a_source_that_cannot_be_read(
    fault: str,
    says: str,
    s3: str,
    call: Callable[..., int],
    act_as: Callable[..., Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    user = act_as(["s3:*"], **WRONG.get(fault, {}))
    url = {"no bucket": f"{s3}-not", "keys in the URL": with_keys(s3, user)}.get(fault, s3)
    for job, what, name in SOURCES:
        assert call(job, str(tmp_path / "out"), **{what: f"{url}/{name}"}) == 2, (job, what)
        line = capsys.readouterr().err
        assert line.count("\n") == 1, line
        assert line.startswith("error: s3://"), (job, line)
        assert says in line or name == "cnn.onnx", (job, line)
        check_no_secret(line, s3)
    assert not (tmp_path / "out").exists()


def with_keys(url: str, user: Any) -> str:
    return url.replace("s3://", f"s3://{user.key}:{user.secret}@")


def test_a_demo_lies_on_a_disk(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--out s3://bucket/demo: not a local folder"):
        demo(DemoOptions(out="s3://bucket/demo"))
    assert list(tmp_path.iterdir()) == []


def test_finished_frames_may_lie_where_nobody_may_write(
    s3: str, call: Callable[..., int], act_as: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Several trainings read them at the same time."""
    store = f"{s3}/frames"
    plan = plan_frames(store, [], Stride(5), 32, 0.0)
    plan.ledger.begin(plan.manifest)
    plan.ledger.finish({})
    act_as(["s3:Get*", "s3:List*"])
    assert fill_frames(plan_frames(store, [], Stride(5), 32, 0.0)) == 0
    assert call("decode_frames", f"{store}2") == 2
    assert "do not permit writing" in capsys.readouterr().err


def test_finished_frames_without_what_could_not_be_decoded_may_lie_there_too(
    s3: str, act_as: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    clip = Video("v", f"{s3}/v.avi", None, None, 1)

    def plan(most: float) -> StorePlan:
        return plan_frames(f"{s3}/frames", [clip], Stride(5), 32, most)

    act_as(["s3:*"])
    ledger, manifest = plan(1.0).ledger, plan(1.0).manifest
    ledger.begin(manifest)
    ledger.finish({})
    failures = FailureLog(ledger.folder)
    failures.add(Failure("w", clip.url, "decode", "VideoError", "no video", 1))
    failures.flush()
    act_as(["s3:Get*", "s3:List*"])
    with pytest.raises(UsageError, match="do not permit writing"):
        fill_frames(plan(1.0))
    act_as(["s3:*"])
    failures = FailureLog(plan(1.0).ledger.folder)
    failures.add(Failure("v", clip.url, "decode", "VideoError", "no video", 1))
    failures.flush()
    act_as(["s3:Get*", "s3:List*"])
    assert fill_frames(plan(1.0)) == 0
    assert "read-only, so its failed videos are not retried: v" in caplog.text
    with pytest.raises(UsageError, match="do not permit writing"):
        fill_frames(plan(0.5))


def test_no_secret_in_what_jobs_write(
    s3: str, call: Callable[..., int], act_as: Callable[..., Any], clip_folder: Path, small_weights: Path
) -> None:
    act_as(["s3:*"])
    for job in JOBS:
        if job not in ("pack", "precompute", "decode_frames", "evaluate", "reproduce"):
            with pytest.raises(BegunError):
                call(job, f"{s3}/{job}")
    plan = make_plan(PrecomputeOptions(videos=str(clip_folder), out=f"{s3}/store", weights=str(small_weights)))
    plan.ledger.begin(plan.manifest)
    plan.ledger.finish({})
    write_trial(f"{s3}/search", Trial(1, {}, {}))
    events = EventFile(f"{s3}/events")
    events.add({"loss": 1.0}, step=1)
    events.close()
    names = {name.rpartition("/")[2].partition(".out")[0] for name in in_bucket(s3)}
    assert names == {"run.json", "manifest.json", "_SUCCESS.json", "search.json", "trial.json", "events"}
    check_no_secret("", s3)


def check_no_secret(text: str, bucket: str) -> None:
    """Neither in what was said nor in anything that was written."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        text = text.replace(name, "")
        for where, content in {"stderr": text.encode(), **in_bucket(bucket)}.items():
            assert os.environ[name].encode() not in content, where


def in_bucket(url: str) -> dict[str, bytes]:
    """Files and their content, from the server's own memory."""
    found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[url.removeprefix("s3://")].keys
    return {name: found[name].value for name in found}
