"""Local Ray cluster of several nodes, without a job server, that can be killed as a whole."""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import psutil

CLUSTER = Path(__file__).resolve().parents[1] / "engine" / "cluster" / "cluster_process.py"


class Nodes:
    """Cluster of a head without CPUs and of worker nodes with the given numbers of CPUs.

    Attributes:
        address: value for RAY_ADDRESS.
        workers: numbers of the running nodes, without the head.
    """

    def __init__(self, environment: dict[str, str], *cpus: int):
        self._folder = tempfile.mkdtemp(prefix="attn-", dir="/tmp")  # a socket's path is limited to 107 characters
        self._process = subprocess.Popen(
            [sys.executable, str(CLUSTER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._orders, self._answers = self._process.stdin, self._process.stdout
        self.workers: list[int] = []
        self.address = self._tell(add={"num_cpus": 0, "temp_dir": self._folder, "include_dashboard": False})["address"]
        for each in cpus:
            self.add(each)

    def add(self, cpus: int) -> None:
        """Add a node."""
        self.workers.append(self._tell(add={"num_cpus": cpus})["node"])

    def lose(self, node: int) -> None:
        """Kill all processes of a node with SIGKILL."""
        self.workers.remove(node)
        self._tell(lose=node)

    def kill(self) -> None:
        """Kill all processes of all nodes with SIGKILL."""
        everything = psutil.Process(self._process.pid).children(recursive=True)
        for process in [psutil.Process(self._process.pid), *everything]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            everything = psutil.Process(self._process.pid).children(recursive=True)
            self._orders.close()
            self._process.wait(60)
            for process in everything:
                with contextlib.suppress(psutil.Error):
                    process.kill()
        self._answers.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _tell(self, **order: Any) -> dict[str, Any]:
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        return json.loads(self._answers.readline())
