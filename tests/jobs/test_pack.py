"""`jobs/pack.py` as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from attn.storage.filesystem import join
from attn.storage.listing import list_files, names_in
from attn.storage.location import Location
from attn.video.source import list_videos

CLASSES = ("kick", "wave")
JOB = Path(__file__).resolve().parents[2] / "jobs" / "pack.py"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Six small files in two class folders."""
    for number in range(6):
        path = tmp_path / "videos" / CLASSES[number % 2] / f"v {number}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(400_000))
    return tmp_path / "videos"


def everything_in(url: str) -> dict[str, bytes]:
    path = Location.at(url)
    return {name: (path / name).read_bytes() for name in names_in(path)}


@pytest.mark.parametrize("storage", ["local", "s3"])
def test_pack(run_job, videos, tmp_path, request, storage):
    out = str(tmp_path / "out") if storage == "local" else join(request.getfixturevalue("s3"), "out")
    done = run_job("pack.py", "--videos", videos, "--out", out, "--shard-mb", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "6/6 videos" in done.stderr
    assert "testing-secret" not in done.stderr
    assert sorted(everything_in(out)) == [
        f"videos-00000{number}.{kind}" for number in range(3) for kind in ("index.json", "tar")
    ]
    assert [video.label for video in list_videos(out, CLASSES)] == [0, 1] * 3


def test_from_s3_to_s3(run_job, s3):
    for name in ("wave/a b.avi", "kick/ü.avi", "other/c.avi", "classes.txt"):
        data = b"wave\nkick\n" if name == "classes.txt" else os.urandom(1000)
        (Location.at(s3) / "in" / name).write_atomic(data)
    done = run_job(
        "pack.py", "--videos", join(s3, "in"), "--out", s3, "--name", "x", "--classes", f"{s3}/in/classes.txt"
    )
    assert done.returncode == 0, done.stderr
    assert [video.label for video in list_videos(join(s3, "x-*.tar"), ("wave", "kick"))] == [0, None, 1]


def test_existing_shards_are_replaced_only_when_told(run_job, videos, tmp_path):
    out = tmp_path / "out"
    assert run_job("pack.py", "--videos", videos, "--out", out, "--shard-mb", 1).returncode == 0
    before = everything_in(str(out))
    refused = run_job("pack.py", "--videos", videos, "--out", out, "--shard-mb", 2)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: {out}: already has 3 shards named videos-*.tar.")
    assert everything_in(str(out)) == before
    (videos / "kick" / "v 0.avi").unlink()
    done = run_job("pack.py", "--videos", videos, "--out", out, "--shard-mb", 64, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert sorted(everything_in(str(out))) == ["videos-000000.index.json", "videos-000000.tar"]
    assert len(list_videos(str(out))) == 5


def test_videos_that_cannot_be_read(run_job, videos, tmp_path):
    (videos / "kick" / "gone.avi").symlink_to("nowhere")
    done = run_job("pack.py", "--videos", videos, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert f"left out: {videos}/kick/gone.avi: does not exist" in done.stderr
    assert "6/7 videos" in done.stderr
    assert len(list_videos(str(tmp_path / "out"))) == 6


def test_usage_errors_are_one_line_and_write_nothing(run_job, videos, tmp_path):
    before = sorted(list_files(Location.at(str(tmp_path))))
    for flags, complaint in [
        (["--videos", "nowhere"], "nowhere: does not exist"),
        (["--shard-mb", 0], "--shard-mb 0: must"),
    ]:
        done = run_job("pack.py", "--videos", videos, "--out", tmp_path / "out", *flags)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert complaint in done.stderr
        assert done.stderr.count("\n") == 1
    assert sorted(list_files(Location.at(str(tmp_path)))) == before


# A thread of the job itself sends the signal, because another process may get no CPU before the job ends.
INTERRUPTING = """
import os, pathlib, runpy, signal, sys, threading, time

def interrupt():
    while not list(pathlib.Path(sys.argv[-1]).glob("*.tar")):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_interrupted(tmp_path):
    (tmp_path / "videos").mkdir()
    for number in range(200):  # at least a second of work
        with open(tmp_path / "videos" / f"{number}.avi", "wb") as file:
            file.truncate(10_000_000)
    out = tmp_path / "out"
    flags = ["--videos", str(tmp_path / "videos"), "--shard-mb", "20", "--out", str(out)]
    job = [sys.executable, "-c", INTERRUPTING, str(JOB), *flags]
    done = subprocess.run(job, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "Pack again with --overwrite" in done.stderr
    assert {path.suffix for path in out.iterdir()} == {".tar", ".json"}, "half a shard stayed"
    assert 0 < len(list_videos(str(out))) < 200


def test_real_clips(run_job, real_data, tmp_path):
    done = run_job(
        "pack.py", "--videos", real_data / "ucf101" / "UCF-101", "--out", tmp_path / "out", "--name", "ucf101"
    )
    assert done.returncode == 0, done.stderr
    (juggling,) = [video for video in list_videos(str(tmp_path / "out")) if "Juggling" in video.video_id]
    original = real_data / "ucf101" / "UCF-101" / "SoccerJuggling" / "v_SoccerJuggling_g23_c01.avi"
    tar = (tmp_path / "out" / "ucf101-000000.tar").read_bytes()
    assert tar[juggling.offset :][: juggling.size] == original.read_bytes()
