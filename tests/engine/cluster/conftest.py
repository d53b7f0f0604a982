"""A real Ray cluster of several nodes on this machine, with a job server behind a token.

Nodes are processes of their own that think they have the CPUs and GPUs they are told.
"""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
RAY = str(Path(sys.executable).with_name("ray"))


class Nodes:
    """A cluster whose nodes come and go.

    Args:
        head: what `ray start` would be told of the head: num_cpus, …
        environment: of every process of it.
    """

    def __init__(self, environment: dict[str, str], **head: Any):
        self.environment = environment
        self._folder = tempfile.mkdtemp(prefix="attn-", dir="/tmp")  # paths of sockets have 107 characters at most
        self._log = Path(self._folder, "cluster.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("cluster_process.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        self._raylets: dict[int, int] = {}
        self._jobs: list[Job] = []
        port = free_port()
        self.job_server = f"http://127.0.0.1:{port}"
        server = {"include_dashboard": True, "dashboard_port": port, "dashboard_agent_listen_port": free_port()}
        try:
            self.head = self.add(temp_dir=self._folder, **server, **head)
        except BaseException:
            self.end()
            raise

    def add(self, **resources: Any) -> int:
        """Number of a node that is up now.

        Each has a folder of its own, as machines do: an agent that starts again empties the job's folder in it first.
        """
        folder = Path(self._folder, secrets.token_hex(2))
        answer = self._tell(add={"temp_dir": str(folder), **resources})
        self._raylets[answer["node"]] = answer["raylet"]
        return answer["node"]

    def lose(self, node: int) -> None:
        """SIGKILL to everything of a node."""
        mine = self.processes(node)
        psutil.Process(self._raylets[node]).kill()
        for process in mine:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._tell(lose=node)
        del self._raylets[node]

    @property
    def alive(self) -> set[int]:
        """Numbers of the nodes that are up."""
        return set(self._raylets)

    def processes(self, node: int, name: str = "") -> list[psutil.Process]:
        """Workers of a node, and what they have started, whose command line holds a name."""
        found = []
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self._raylets[node]).children(recursive=True)
        return [process for process in found if name in command_line(process)]

    def stop_decoders(self) -> list[psutil.Process]:
        """SIGSTOP to every decoder at work, so that the job cannot end by itself before they are resumed."""
        stopped = []
        for node in self.alive:
            for process in self.processes(node, "decoder_process"):
                with contextlib.suppress(psutil.Error):
                    process.suspend()
                    stopped.append(process)
        return stopped

    def submit(self, *command: str) -> "Job":
        """`ray job submit --working-dir . -- command`."""
        self._jobs.append(Job(self, command))
        return self._jobs[-1]

    def ray(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of `ray` that ends by itself."""
        flags = {"capture_output": True, "text": True, "cwd": ROOT, "env": self.environment, "timeout": 120}
        return subprocess.run([RAY, *command], check=False, **flags)

    def end(self) -> None:
        """Ends every process of every node."""
        for job in self._jobs:
            job.forget()
        left = [process for node in self._raylets for process in self.processes(node)]
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _tell(self, **order: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        return json.loads(line)


class Job:
    """One that was submitted."""

    def __init__(self, nodes: Nodes, command: tuple[str, ...]):
        self._nodes, self.number = nodes, f"job-{secrets.token_hex(4)}"
        self._address = ["--address", nodes.job_server]
        flags = [*self._address, "--submission-id", self.number, "--working-dir", "."]
        self._submitting = subprocess.Popen(
            [RAY, "job", "submit", *flags, "--", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=nodes.environment,
        )

    def wait(self, timeout_s: float = 240) -> tuple[int, str]:
        """Exit code of `ray job submit`, which waits for the job, and all that it printed."""
        printed, _ = self._submitting.communicate(timeout=timeout_s)
        return self._submitting.returncode, printed

    def alive(self) -> bool:
        """Whether the job is not over; else what it printed, as an error."""
        assert self._submitting.poll() is None, self.wait()[1]
        return True

    def forget(self) -> None:
        """Waits no longer."""
        self._submitting.kill()
        self._submitting.communicate()

    def ask(self, verb: str) -> str:
        """What `ray job status`, `logs` or `stop` prints."""
        done = self._nodes.ray("job", verb, *self._address, self.number)
        return done.stdout + done.stderr


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def command_line(process: psutil.Process) -> str:
    """Empty for a process that is gone."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


@pytest.fixture(scope="session")
def wait_for() -> Callable[..., Any]:
    """wait_for(happened, what): what a call returns once that is true."""

    def wait(happened: Callable[[], Any], what: str, timeout_s: float = 120) -> Any:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if found := happened():
                return found
            time.sleep(0.2)
        raise AssertionError(f"{what}: not within {timeout_s:g} s")

    return wait


@pytest.fixture(scope="session")
def start_nodes(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Nodes]:
    """start_nodes(num_cpus=1): a cluster of one head, behind a token, to be ended by whoever starts it; environment={…}
    adds to that of its processes."""
    token = tmp_path_factory.mktemp("token") / "auth_token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "AWS_"))}
    usual["PATH"] = f"{Path(sys.executable).parent}:{usual['PATH']}"  # as in an activated environment
    usual |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}

    def start(environment: dict[str, str] | None = None, **head: Any) -> Nodes:
        return Nodes(usual | (environment or {}), **head)

    return start


@pytest.fixture(scope="session")
def four_nodes(start_nodes: Callable[..., Nodes], s3_environment: dict[str, str]) -> Iterator[Nodes]:
    """Four nodes of one CPU each, which reach the S3 server."""
    nodes = start_nodes(s3_environment, num_cpus=1)
    try:
        for _ in range(3):
            nodes.add(num_cpus=1)
        yield nodes
    finally:
        nodes.end()


@pytest.fixture(scope="session")
def many_clips(clip_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 60 clips, enough that a job can be met at work."""
    folder = tmp_path_factory.mktemp("many")
    for i in range(10):
        for path in clip_folder.rglob("*.avi"):
            (folder / f"{path.stem}_{i:03}.avi").symlink_to(path)
    return folder


@pytest.fixture
def videos(many_clips: Path, tmp_path: Path) -> Path:
    """A folder of ten times as many."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for i in range(10):
        for path in many_clips.iterdir():
            (folder / f"{path.stem}_{i}.avi").symlink_to(path)
    return folder


@pytest.fixture
def flags(many_clips: Path, small_weights: Path, tmp_path: Path) -> list[str]:
    """Of a precompute of 60 clips into the folder store; the grid makes rows large, so that there are several parts."""
    paths = ["--videos", str(many_clips), "--weights", str(small_weights), "--out", str(tmp_path / "store")]
    return [*paths, "--columns", "maps", "logits", "grid", "--batch-size", "16", "--part-mb", "1"]


@pytest.fixture
def check_videos() -> Callable[[Path, Path], None]:
    """check_videos(store, folder): every clip of the folder is in the store once, with all frames it must have."""
    from attn.storage.store import AttentionStore

    def check(store: Path, folder: Path) -> None:
        lengths = (1, 4, 23, 60, 130, 37)  # those of clip_folder, whose names tell their number
        expected = {path.stem: -(-lengths[int(path.stem.split("_g")[1][:2])] // 5) for path in folder.iterdir()}
        found = [(rows.video_id, len(rows.frame)) for rows in AttentionStore.open(str(store)).videos([])]
        assert sorted(found) == sorted(expected.items())

    return check
