import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from attn.engine.local_ray import MOST_TMPDIR, short_folders
from attn.engine.session import start_ray
from attn.errors import UsageError


def test_a_second_start_changes_nothing(ray_local):
    before = ray_local.cluster_resources()
    start_ray(num_cpus=1)
    assert ray_local.cluster_resources() == before
    assert before["CPU"] == 2


START = """
import attn.engine.session as session, attn.errors, sys
try:
    session.start_ray()
except attn.errors.UsageError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto-matic", "ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_named_at_once(address):
    environment = {**os.environ, "RAY_ADDRESS": address}
    run = subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert address in run.stderr
    assert "unset RAY_ADDRESS" in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("address", ["http://head:8265", "https://head.example/ray"])
def test_the_address_of_the_job_server_is_told_from_that_of_the_head(address):
    environment = {**os.environ, "RAY_ADDRESS": address}
    run = subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert address in run.stderr
    for way_out in ("job server", "ray job submit", "unset RAY_ADDRESS", "host:port of the head", "auto"):
        assert way_out in run.stderr
    assert run.stderr.count("\n") == 1


ALONE = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


def run_alone(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=ALONE | environment, capture_output=True, text=True, timeout=250)


@pytest.fixture
def short_folder() -> Iterator[str]:
    """Short enough for Ray's sockets, which pytest's own is not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield folder


SLOW_START = """
import logging, ray
import attn.engine.session as session
logging.basicConfig(level=logging.WARNING)
init = ray.init
def slow(**settings):
    ray.init = init
    raise Exception("The current node timed out during startup. This could happen because …")
ray.init = slow
session.start_ray(num_cpus=1)
print(ray.cluster_resources()["CPU"])
print(ray._private.worker._global_node.get_session_dir_path())
"""


def test_a_ray_that_starts_too_slowly_gets_another_chance_a_short_folder_and_a_free_port(tmp_path):
    long = tmp_path / ("x" * (92 - len(str(tmp_path)) - 1))
    long.mkdir()
    with socket.create_server(("", 0)) as other:  # as another head has its port
        run = run_alone(SLOW_START, TMPDIR=str(long), RAY_GCS_SERVER_PORT=str(other.getsockname()[1]))
    assert run.stdout.startswith("1.0\n/tmp/ray-"), run.stderr
    assert run.stderr.count("very busy; retrying once") == 1


FAILED_START = """
import psutil, logging
import ray._private.services as services
import attn.engine.session as session, attn.errors
logging.basicConfig(level=logging.WARNING)
{prepare}
started = []
start = services.start_ray_process
def recorded(*arguments, **options):
    started.append(start(*arguments, **options))
    return started[-1]
services.start_ray_process = recorded
try:
    session.start_ray(num_cpus=1, object_store_bytes={store_bytes})
except attn.errors.UsageError as error:
    print(error)
print(bool(started), [process.cmdline() for process in psutil.Process().children(recursive=True)])
"""


def test_a_start_that_fails_half_way_is_one_line_and_leaves_nothing_running(short_folder):
    """Ray refuses so small an object store only after it has started three of its processes."""
    run = run_alone(FAILED_START.format(prepare="", store_bytes=20_000_000), RAY_TMPDIR=short_folder)
    line, left = run.stdout.splitlines()
    assert line.startswith("Ray: did not start (Attempting to cap object store memory usage at 20000000 bytes, but"), (
        line
    )
    assert line.endswith("). Free memory in /dev/shm; in a container, raise --shm-size."), line
    assert left == "True []"
    assert "Traceback" not in run.stderr


def test_a_machine_too_busy_for_two_tries_is_named_in_one_line(tmp_path, short_folder):
    """A control service that never says its port is what a very busy machine looks like."""
    slow = tmp_path / "gcs"
    slow.write_text("#!/bin/sh\nexec sleep 100")
    slow.chmod(0o755)
    code = FAILED_START.format(prepare=f"services.GCS_SERVER_EXECUTABLE = {str(slow)!r}", store_bytes=None)
    run = run_alone(code, RAY_TMPDIR=short_folder, RAY_gcs_server_port_wait_time_s="2")
    line, left = run.stdout.splitlines()
    assert line.startswith("Ray: did not start within 30 s, twice (Timed out waiting for file "), line
    assert line.endswith("The machine is too busy. Run the same command when fewer programs are running."), line
    assert left == "True []"
    assert run.stderr.count("retrying once") == 1
    assert "Traceback" not in run.stderr


def test_a_folder_that_cannot_be_written_is_named_in_one_line():
    run = run_alone(FAILED_START.format(prepare="", store_bytes=None), RAY_TMPDIR="/proc/none")
    line, left = run.stdout.splitlines()
    assert re.fullmatch(
        r"Ray: did not start \(.*'/proc/none.*'\)\. Set RAY_TMPDIR to a writable folder .* path\.", line
    )
    assert left.endswith("[]")
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_sockets_lie_in_a_short_folder_and_spilt_objects_in_the_users(variable, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    long = tmp_path / ("ä" * 30)
    long.mkdir()
    monkeypatch.setenv(variable, str(long))
    folders = short_folders()
    assert len(folders["_temp_dir"]) <= MOST_TMPDIR
    assert folders["object_spilling_directory"] == str(long / "ray")
    monkeypatch.setenv(variable, "/" + "x" * (MOST_TMPDIR - 1))
    assert short_folders() == {}
    monkeypatch.setenv(variable, "/" + "x" * MOST_TMPDIR)
    monkeypatch.setattr("attn.engine.local_ray.SHORT_FOLDERS", ("/proc/none",))
    with pytest.raises(UsageError, match=rf"^{variable}=/x*: too long for Ray's sockets\. Set RAY_TMPDIR to a path of"):
        short_folders()
