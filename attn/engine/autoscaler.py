"""Maximum size of a cluster with an autoscaler.

Ray does not provide it: nothing writes the table that `get_max_resources_from_cluster_config` reads
(ray-project/ray#63012, Ray 2.60). `ray up` stores the cluster configuration on the head and starts Ray's monitor with
it; elsewhere (KubeRay), an environment variable gives the size. The first process of a job that reads the size stores
it in the cluster for the job's processes on other machines.
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
    """Return the maximum CPUs and GPUs of the cluster; empty if it has no autoscaler or the maximum is unknown.

    Raises:
        UsageError: the variable is not of the form `CPU=…,GPU=…`.
    """
    given = os.environ.get(VARIABLE)
    most = parse_most(given) if given else _of_launcher(ray.get_runtime_context().gcs_address)
    if most:
        internal_kv._internal_kv_put(key(), json.dumps(most).encode(), overwrite=True)
        return most
    found = internal_kv._internal_kv_get(key())
    return json.loads(found) if found else {}


def key() -> bytes:
    """Key of the maximum size in Ray's internal key-value store, one per job."""
    return f"attn-cluster-max-{ray.get_runtime_context().get_job_id()}".encode()


def parse_most(text: str) -> dict[str, float]:
    """Parse a size such as `CPU=128,GPU=8`."""
    pairs = [pair.partition("=") for pair in text.replace(" ", "").split(",")]
    try:
        most = {name: float(number) for name, _, number in pairs}
    except ValueError:
        most = {}
    if not most or not most.keys() <= set(NAMES) or not all(0 <= number < math.inf for number in most.values()):
        raise UsageError(f"{VARIABLE}={text}: not a cluster size. Give the maximum size, such as CPU=128,GPU=8.")
    return most


def most_of(config: Mapping[str, Any]) -> dict[str, float]:
    """Return the maximum CPUs and GPUs of a `ray up` configuration; empty if it does not list resources.

    Args:
        config: configuration as stored on the head by `ray up`, with the resources of each node type filled in.
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
    """Maximum total of one resource, taking as many machines as allowed of the types with most of it."""
    total, left = 0.0, most_workers
    for resources, number in sorted(kinds, key=lambda kind: kind[0].get(name, 0), reverse=True):
        total += min(number, left) * resources.get(name, 0)
        left -= min(number, left)
    return total


def _of_launcher(gcs_address: str) -> dict[str, float]:
    for path in _descriptions(gcs_address):
        # An unreadable file belongs to another program or is being replaced.
        with contextlib.suppress(OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
            return most_of(yaml.safe_load(Path(path).read_text()))
    return {}


def _descriptions(gcs_address: str) -> Iterator[str]:
    """Configuration paths in the command line of this cluster's monitor, if it runs on this machine."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            arguments = process.read_bytes().decode(errors="replace").split("\0")
            if f"--gcs-address={gcs_address}" in arguments:
                given = (one.partition("=") for one in arguments if one.startswith("--autoscaling-config="))
                yield from (os.path.expanduser(path) for _, _, path in given)
