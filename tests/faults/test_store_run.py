"""Detection of damage by the fault harness.

Covers lost, duplicated and wrong rows, videos done again, unfinished stores, and faults without recovery.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from attn.schema import FRAME, N_FRAMES, TIME_S, TRUNCATED
from attn.storage.ledger import Ledger
from attn.storage.tensors import tensor_shape

from .left import Left
from .material import COLUMNS, SMALL, Material, make_material, relabelled
from .store_run import StoreRun

LABELS = {"a": 1, "b": None}
AGAIN = "import sys, time; open(sys.argv[1], 'a').write(f'{time.monotonic():.4f}\\t1\\tdecode\\ta\\n')"


@pytest.fixture
def run(tmp_path: Path, write_store, new_manifest) -> StoreRun:
    """Undamaged store of two videos in two parts."""
    manifest = new_manifest(columns=COLUMNS, map_shape=(2, 2))
    random = np.random.default_rng(0)
    shapes = {field.name: tensor_shape(field) for field in manifest.schema if field.name in COLUMNS}
    rows = {
        video: {name: random.random((4, *shape)).astype(np.float16) for name, shape in shapes.items()}
        for video in LABELS
    }
    labels = {video: label for video, label in LABELS.items() if label is not None}
    url = write_store(str(tmp_path / "store"), manifest, rows, labels=labels, part_bytes=1, finished=False)
    Ledger.at(url).finish({"fingerprint": manifest.fingerprint, "videos": 2, "rows": 8, "failed": 0})
    positions = np.arange(4)
    small = {
        FRAME: positions * 5,
        TIME_S: (positions / 6).astype(np.float32),
        N_FRAMES: np.full(4, 4),
        TRUNCATED: np.zeros(4, bool),
    }
    expected = {
        video: relabelled({**values, **{name: column.copy() for name, column in small.items()}}, LABELS[video])
        for video, values in rows.items()
    }
    return StoreRun(Material("", "", "", expected), url, tmp_path / "harness")


def harm(left: Left) -> tuple[int, ...]:
    return left.lost, left.doubled, left.wrong, left.redone


def parts(run: StoreRun) -> list[Path]:
    return sorted(Path(run.out).glob("part-*"))


def ends_with(run: StoreRun, code: int) -> None:
    """Make the command exit with the given code from now on, without doing anything."""
    run.prefix = ("sh", "-c", f"exit {code}", "sh")


def tell(run: StoreRun, *points: str) -> None:
    """Write a trace with one event, `point video`, per second."""
    lines = [f"{time_s}.0\t1\t" + "\t".join(f"{point} ".split(" ")[:2]) for time_s, point in enumerate(points)]
    (run.folder / "trace.txt").write_text("\n".join(lines))


def test_no_small_column_of_the_material_is_the_same_everywhere(tmp_path: Path) -> None:
    rows = make_material(tmp_path, 8).rows.values()
    for name in SMALL:
        assert len({value for video in rows for value in video[name]}) > 1, name


def test_rows(run: StoreRun) -> None:
    assert harm(run.left()) == (0, 0, 0, 0)
    first, second = parts(run)
    copy = first.with_name("part-zz.parquet")
    copy.write_bytes(first.read_bytes())
    assert harm(run.left()) == (0, 4, 0, 0)
    copy.unlink()
    second.unlink()
    assert harm(run.left()) == (4, 0, 0, 0)


@pytest.mark.parametrize("name", [*COLUMNS, TIME_S, N_FRAMES])
def test_other_numbers(name: str, run: StoreRun) -> None:
    run.material.rows["a"][name][2] += 1
    assert harm(run.left()) == (0, 0, 1, 0)


@pytest.mark.parametrize(("video", "label"), [("a", 2), ("a", None), ("b", 0)])
def test_another_label(video: str, label: int | None, run: StoreRun) -> None:
    run.material.rows[video] = relabelled(run.material.rows[video], label)
    assert harm(run.left()) == (0, 0, 4, 0)


def test_a_truncated_video_that_is_said_to_be_whole(run: StoreRun) -> None:
    run.material.rows["a"][TRUNCATED][:] = True
    assert harm(run.left()) == (0, 0, 4, 0)


@pytest.mark.parametrize(
    ("points", "redone"),
    [
        (["decode a", "write a", "committed a", "decode a"], 1),
        (["decode a", "write a", "decode a", "committed a"], 0),
        (["decode a", "write a", "dropped a", "committed b", "decode a"], 0),
        (["decode a", "done", "decode b", "done"], 1),
    ],
)
def test_videos_done_again(points: list[str], redone: int, run: StoreRun) -> None:
    tell(run, *points)
    assert run.left().redone == redone


def test_an_unfinished_store(run: StoreRun) -> None:
    assert run.left().unfinished == ()
    first, second = parts(run)
    copy = first.with_name("part-zz.parquet")
    copy.write_bytes(first.read_bytes())
    assert [line.split(":")[0] for line in run.left().unfinished] == ["doubled"]
    copy.unlink()
    whole = second.read_bytes()
    second.unlink()
    assert "videos: 1 found, 2 recorded" in run.left().unfinished
    second.write_bytes(whole)
    Path(run.out, "_SUCCESS.json").unlink()
    assert run.left().unfinished == ("_SUCCESS.json is missing",)
    Path(run.out, "manifest.json").unlink()
    assert "manifest.json is missing" in " ".join(run.left().unfinished)


def test_the_command_must_end_with_0_twice(run: StoreRun) -> None:
    ends_with(run, 0)
    assert run.finish() == 0
    left = run.ended()
    assert (left.unfinished, left.runs) == ((), 1)
    ends_with(run, 3)
    assert run.ended().unfinished == ("the one after it ended with 3",)
    ends_with(run, 0)
    assert run.ended().unfinished == ("the last command ended with 3",)
    assert run.finish() == 0
    run.prefix = ("sh", "-c", f"rmdir {run.folder}/out && exit 2; exit 0", "sh")  # exit code 2 once, then 0
    run.folder.joinpath("out").mkdir()
    assert run.ended(tries=2).unfinished == ()
    never = StoreRun(run.material, run.out, run.folder.with_name("never"))
    ends_with(never, 0)
    assert never.ended().unfinished == ("the last command ended with None",)


def test_what_is_done_when_all_is_done_is_done_again(run: StoreRun) -> None:
    ends_with(run, 0)
    run.finish()
    run.prefix = (sys.executable, "-c", AGAIN, str(run.folder / "trace.txt"))
    assert run.ended().redone == 1


@pytest.mark.parametrize(
    ("points", "recovery_s"),
    [
        (["decode a", "kill@decode a", "write b", "write a", "done", "done"], [2]),
        (["decode a", "clock@harness", "write b", "write a", "done", "done"], [1]),
        (["write a", "kill@committed a", "write b", "commit b", "done", "done"], [3]),
        (["cut@s3 GET", "reset@s3 GET", "write b", "done", "cut@s3 GET", "commit b", "done"], [2, 1, 2]),
    ],
    ids=["its video", "no video known", "no write after it", "when all was done"],
)
def test_recovery(points: list[str], recovery_s: list[float], run: StoreRun) -> None:
    tell(run, *points)
    assert run.left().recovery_s == recovery_s


def test_a_fault_of_the_harness_names_its_video(run: StoreRun) -> None:
    run.note("changed", "b")
    assert [(what, video) for _, what, video in run.trace()] == [("changed@harness", "b")]


def test_a_command_that_hangs_is_ended(run: StoreRun) -> None:
    run.prefix = ("sh", "-c", "sleep 60; exit 0", "sh")
    started_s = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        run.finish(timeout_s=0.3)
    assert time.monotonic() - started_s < 20
