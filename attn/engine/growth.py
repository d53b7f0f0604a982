"""Size to which a cluster with an autoscaler may grow. Ray itself does not know it: nothing writes the table that its
`get_max_resources_from_cluster_config` reads (ray-project/ray#63012, Ray 2.60).

`ray up` leaves the description of the cluster on the head, where Ray's monitor is started with it; what works
elsewhere (KubeRay) is told in a variable. Whoever learns it leaves it in the cluster for the job's other processes,
which may be on other machines.
"""

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import yaml
from ray.experimental import internal_kv

from attn.errors import UsageError

VARIABLE = "ATTN_CLUSTER_MAX"
NAMES = ("CPU", "GPU")


def most_resources() -> dict[str, float]:
    """CPUs and GPUs of the cluster at its largest; empty where it does not grow, or nothing tells how far.

    Raises:
        UsageError: the variable is not `CPU=…,GPU=…`.
    """
    told = os.environ.get(VARIABLE)
    most = parse_most(told) if told else _of_launcher(ray.get_runtime_context().gcs_address)
    if most:
        internal_kv._internal_kv_put(key(), json.dumps(most).encode(), overwrite=True)
        return most
    found = internal_kv._internal_kv_get(key())
    return json.loads(found) if found else {}


def key() -> bytes:
    """Where the job leaves it."""
    return f"attn-cluster-max-{ray.get_runtime_context().get_job_id()}".encode()


def parse_most(text: str) -> dict[str, float]:
    """Reads `CPU=128,GPU=8`."""
    pairs = [pair.partition("=") for pair in text.replace(" ", "").split(",")]
    try:
        most = {name: float(number) for name, _, number in pairs}
    except ValueError:
        most = {}
    if not most or not most.keys() <= set(NAMES) or not all(0 <= number < math.inf for number in most.values()):
        raise UsageError(f"{VARIABLE}={text}: say what the cluster may grow to, such as CPU=128,GPU=8")
    return most


def most_of(config: Mapping[str, Any]) -> dict[str, float]:
    """The same, of a cluster that `ray up` describes; empty where the description does not say what machines have.

    Args:
        config: as `ray up` leaves it on the head: complete, with the resources that it asked the cloud for.
    """
    types, most_workers = config["available_node_types"], config.get("max_workers", 0)
    head = types[config["head_node_type"]].get("resources") or {}
    workers = [
        (kind.get("resources") or {}, kind.get("max_workers", most_workers))
        for name, kind in types.items()
        if name != config["head_node_type"]
    ]
    most = {name: head.get(name, 0) + _most_of_workers(name, workers, most_workers) for name in NAMES}
    return {name: float(number) for name, number in most.items()} if any(most.values()) else {}


def _most_of_workers(name: str, kinds: Sequence[tuple[Mapping[str, float], int]], most_workers: int) -> float:
    """Of one resource, with as many machines as may be of those that have most of it."""
    total, left = 0.0, most_workers
    for resources, number in sorted(kinds, key=lambda kind: kind[0].get(name, 0), reverse=True):
        total += min(number, left) * resources.get(name, 0)
        left -= min(number, left)
    return total


def _of_launcher(gcs_address: str) -> dict[str, float]:
    for path in _descriptions(gcs_address):
        # What cannot be read as one is another program's, or being replaced just now.
        with contextlib.suppress(OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
            return most_of(yaml.safe_load(Path(path).read_text()))
    return {}


def _descriptions(gcs_address: str) -> Iterator[str]:
    """What the monitor of this cluster was started with, if it runs on this machine."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = process.read_bytes().decode(errors="replace").split("\0")
            if f"--gcs-address={gcs_address}" in arguments:
                given = (one.partition("=") for one in arguments if one.startswith("--autoscaling-config="))
                yield from (os.path.expanduser(path) for _, _, path in given)
