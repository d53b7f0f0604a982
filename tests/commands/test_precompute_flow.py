"""A flow store: every frame of every video exactly once, with the flow to the next one."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from attn.commands.cli import run
from attn.commands.precompute_flow import make_flow_plan, precompute_flow
from attn.commands.precompute_flow_options import PrecomputeFlowOptions
from attn.commands.verify import verify
from attn.commands.verify_options import VerifyOptions
from attn.engine.exit_codes import EXIT_USAGE
from attn.errors import UsageError
from attn.schema import FLOW, FRAME, N_FRAMES, TIME_S, VIDEO_ID
from attn.stages.decode_pairs import DecodePairs
from attn.stages.flow.compute import ComputeFlow, open_flow_model
from attn.storage.ledger import Ledger
from attn.storage.manifest import FlowManifest, FrameManifest
from attn.storage.tensors import tensor_values
from attn.video.sample import Stride
from attn.video.sandbox.guard import FrameReader
from attn.video.source import list_videos

pytest.importorskip("cv2")

JOB = Path(__file__).resolve().parents[2] / "jobs" / "precompute_flow.py"


@pytest.fixture
def options(clip_folder: Path, tmp_path: Path) -> PrecomputeFlowOptions:
    return PrecomputeFlowOptions(
        videos=str(clip_folder), out=str(tmp_path / "flow"), input_size=24, stride=3, bound=10.0, batch_size=16
    )


def stored(url: str) -> dict[str, dict[str, np.ndarray]]:
    """Columns of each video; a video that is stored twice or in pieces fails."""
    videos: dict[str, dict[str, np.ndarray]] = {}
    for part in Path(url).glob("part-*.parquet"):
        table = pq.read_table(part)
        flow, ids = tensor_values(table[FLOW], table.schema.field(FLOW)), np.array(table[VIDEO_ID].to_pylist())
        for video_id in np.unique(ids):
            assert video_id not in videos
            own = ids == video_id
            videos[video_id] = {name: table[name].to_numpy()[own] for name in (FRAME, TIME_S)} | {FLOW: flow[own]}
            assert (table[N_FRAMES].to_numpy()[own] == own.sum()).all()
    return videos


def alone(options: PrecomputeFlowOptions) -> dict[str, np.ndarray]:
    """Flow of each video, computed without a store."""
    compute = ComputeFlow(
        open_flow_model(options.algorithm, options.weights, size=options.input_size), bound_px=options.bound
    )
    stage, flows = DecodePairs(Stride(options.stride), options.input_size, 1000), {}
    with FrameReader() as reader:
        for video in list_videos(options.videos):
            (batch,) = stage([video], reader)
            flows[video.video_id] = compute(batch["image"])[FLOW]
    return flows


def check(options: PrecomputeFlowOptions, *, rounding: int = 0) -> None:
    found, expected = stored(options.out), alone(options)
    assert found.keys() == expected.keys()
    for video_id, rows in found.items():
        np.testing.assert_allclose(rows[FLOW].astype(int), expected[video_id], atol=rounding)
        np.testing.assert_array_equal(rows[FRAME], 3 * np.arange(len(rows[FRAME])))
        np.testing.assert_allclose(rows[TIME_S], rows[FRAME] / 25, atol=1e-3)
    verdict = verify(VerifyOptions(options.out, videos=options.videos, deep=True))
    assert verdict.exit_code == 0, str(verdict)
    assert str(verdict).startswith(f"{options.out}: flow store, fingerprint ")


def test_every_frame_has_the_flow_to_the_next_one_and_the_last_repeats_it(options: PrecomputeFlowOptions) -> None:
    assert precompute_flow(options) == 0
    check(options)
    flows = [rows[FLOW] for rows in stored(options.out).values()]
    assert any(flow.any() for flow in flows)
    for flow in flows:
        np.testing.assert_array_equal(flow[-1], flow[-2] if len(flow) > 1 else np.zeros_like(flow[-1]))


def test_a_run_completes_the_store_and_another_kind_of_flow_is_refused(options: PrecomputeFlowOptions) -> None:
    some = dataclasses.replace(options, videos=f"{options.videos}/Kick")
    assert precompute_flow(some) == 0
    parts = {path: path.stat().st_mtime_ns for path in Path(options.out).glob("part-*")}
    assert parts
    assert precompute_flow(options) == 0
    assert {path: path.stat().st_mtime_ns for path in parts} == parts
    check(options)
    for other in ({"bound": 20.0}, {"stride": 1}, {"algorithm": "tvl1"}, {"input_size": 32}):
        with pytest.raises(UsageError, match=rf"made with other settings .*{next(iter(other))}.* or add --overwrite"):
            make_flow_plan(dataclasses.replace(options, **other))
    assert make_flow_plan(dataclasses.replace(options, bound=20.0, overwrite=True))


def test_only_listed_videos_are_processed(options: PrecomputeFlowOptions, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("Wave/v_Wave_g00_c01.avi 1\nKick/v_Kick_g03_c01.avi 2\n")
    plan = make_flow_plan(dataclasses.replace(options, lists=(str(tmp_path / "list.txt"),)))
    assert [video.video_id for video in plan.videos] == ["v_Kick_g03_c01", "v_Wave_g00_c01"]


def test_the_schema_names_axes_and_bound(options: PrecomputeFlowOptions) -> None:
    manifest = make_flow_plan(options).manifest
    schema = manifest.schema
    field = schema.field(FLOW)
    assert (field.type.list_size, str(field.type.value_type)) == (2 * 24 * 24, "int8")
    assert (field.metadata[b"shape"], field.metadata[b"axes"]) == (b"[2, 24, 24]", b"chan row col")
    assert schema.metadata == {b"fingerprint": manifest.fingerprint.encode(), b"bound_px": b"10.0"}
    assert json.loads(manifest.to_json())["kind"] == "flow store"
    assert FlowManifest.from_json(manifest.to_json(), where="m").fingerprint == manifest.fingerprint


def test_a_flow_store_is_no_frame_store(options: PrecomputeFlowOptions) -> None:
    Ledger.at(options.out, FlowManifest).begin(make_flow_plan(options).manifest)
    with pytest.raises(UsageError, match=r"not a manifest of frame stores \(its kind is flow store\)"):
        Ledger.at(options.out, FrameManifest).manifest()


BAD_FLAGS = {
    "videos": ("/nowhere/at/all", "nowhere/at/all"),
    "input_size": (8, "--input-size 8: dis needs at least 12 pixels"),
    "bound": (0.0, "--bound 0"),
    "stride": (0, "--stride 0"),
    "batch_size": (0, "--batch-size 0"),
    "weights": ("raft.pth", "--weights raft.pth: dis has no weights"),
    "algorithm": ("raft_small", "--algorithm raft_small: needs weights. Give --weights C_T_V2"),
    "actors": ((1, 2), "--actors and --gpus-per-actor: dis needs no actors"),
    "preprocessing": ("nice", "--preprocessing 'nice'"),
}


@pytest.mark.parametrize("flag", BAD_FLAGS)
def test_bad_flags_are_one_line_and_nothing_is_written(flag: str, options: PrecomputeFlowOptions, capsys) -> None:
    value, culprit = BAD_FLAGS[flag]
    assert run(precompute_flow, dataclasses.replace(options, **{flag: value})) == EXIT_USAGE
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert culprit in message
    assert not Path(options.out).exists()


def test_without_opencv_the_message_says_how_to_install_it(
    options: PrecomputeFlowOptions, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert run(precompute_flow, options) == EXIT_USAGE
    assert "OpenCV is missing" in (message := capsys.readouterr().err)
    assert "Run pip install 'attn[flow]'." in message


def test_a_dry_run_writes_nothing(options: PrecomputeFlowOptions, caplog) -> None:
    caplog.set_level("INFO")
    assert precompute_flow(dataclasses.replace(options, dry_run=True)) == 0
    assert "6 videos to process, 0 done; about" in caplog.text
    assert not Path(options.out).exists()


@pytest.mark.long
@pytest.mark.parametrize("algorithm", ["dis", "tvl1"])
def test_decode_tasks_and_actors_on_ray_give_the_rows_of_one_process(
    on_ray, options: PrecomputeFlowOptions, algorithm
) -> None:
    """DIS runs in decode tasks, TV-L1 in actors, whose batches differ."""
    told = dataclasses.replace(options, algorithm=algorithm, stride=3)
    assert precompute_flow(told) == 0
    check(told, rounding=0 if algorithm == "dis" else 1)


@pytest.mark.long
def test_a_killed_run_loses_and_doubles_nothing(
    options: PrecomputeFlowOptions, clip_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "many").mkdir()
    for i in range(40):
        for path in clip_folder.rglob("*.avi"):
            (tmp_path / "many" / f"{path.stem}_{i:03}.avi").symlink_to(path)
    many = dataclasses.replace(options, videos=str(tmp_path / "many"), input_size=64, part_mb=1)
    words = ["--videos", many.videos, "--out", many.out, "--input-size", "64", "--stride", "3", "--bound", "10"]
    command = [sys.executable, str(JOB), *words, "--batch-size", "16", "--part-mb", "1"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline_s = time.monotonic() + 200
        while not list(Path(many.out).glob("part-*")):
            assert process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        process.kill()
    early = Ledger.at(many.out, FlowManifest).done()
    assert 0 < len(early) < 240
    assert precompute_flow(many) == 0
    check(many)
