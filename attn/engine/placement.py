"""Resources of precompute: number and size of CNN actors, decode tasks and writers."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import ray

from attn.engine.autoscaler import VARIABLE, most_resources
from attn.engine.pool_flags import check_pool
from attn.errors import UsageError

# Without a GPU, decoding and the CNN share the cores. One actor per core leaves a quarter of the core to decoding in
# Ray's accounting; the operating system divides the actual time.
CPU_ACTOR_CPUS = 0.75
CPU_DECODE_CPUS = 0.25
# Writing a frame of 224 pixels takes 2.8 ms of a core, decoding it 1.4 ms.
DECODERS_PER_WRITER = 2
LEAST_DECODERS = 8  # decoders to provide writers for if machines may still join
MOST_VIDEOS_PER_TASK = 16
GROWS = f"if machines are still to join, set {VARIABLE}=CPU=…,GPU=… to the cluster's maximum size"
# An actor on a GPU makes at most about this many rows per second, one on a core about this many. The rates decide only
# how many writers start; a slower actor leaves them idle.
GPU_ROWS_PER_S = 1000
CPU_ROWS_PER_S = 50
# A writer encodes and compresses 25 MB/s of half-precision values on a core (bench/writers.py). It gets work for half
# of its time: rows arrive in bursts, and it takes none while it uploads a part.
WRITER_BYTES_PER_S = 12_500_000
LEAST_LIMIT = 4  # writers that may start on few cores: more machines may join


@dataclasses.dataclass(frozen=True)
class Placement:
    """Resources of one run.

    Attributes:
        actors: minimum and maximum number of CNN actors.
        gpus_per_actor, cpus_per_actor: GPUs and CPUs per actor.
        decode_cpus: CPUs per decode task.
        decode_tasks: number of concurrent decode tasks beside the actors that fit.
        writers: number of writer actors.
    """

    actors: tuple[int, int]
    gpus_per_actor: float
    cpus_per_actor: float
    decode_cpus: float
    decode_tasks: int
    writers: int

    def videos_per_task(self, videos: int, *, isolated: bool = False) -> int:
        """Videos per decode task: many, to fill batches, but few enough to occupy every decode task; 1 if isolated."""
        return 1 if isolated else max(1, min(MOST_VIDEOS_PER_TASK, videos // (4 * max(self.decode_tasks, 1))))

    @property
    def device(self) -> str:
        """Device of the actors."""
        return "cuda" if self.gpus_per_actor else "cpu"

    def __str__(self) -> str:
        if not self.writers:
            return "in this process"
        low, high = self.actors
        decoding = f"up to {self.decode_tasks} decode tasks, {self.writers} writers"
        if not high:
            return decoding
        count = str(high) if low == high else f"{low} to {high}"
        what = f"{self.gpus_per_actor:g} GPU" if self.gpus_per_actor else f"{self.cpus_per_actor:g} CPU"
        return f"{count} actors of {what}, {decoding}"


def cluster_totals() -> dict[str, float]:
    """CPUs and GPUs that the cluster has or may grow to."""
    now, most = ray.cluster_resources(), most_resources()
    return {name: max(now.get(name, 0), most.get(name, 0)) for name in ("CPU", "GPU")}


def may_grow() -> bool:
    """Whether an autoscaler may start more machines."""
    return bool(most_resources())


def living_nodes() -> list[Mapping[str, float]]:
    """Resources of each machine that is alive."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def place(
    actors: tuple[int, int] | None,
    gpus_per_actor: float | None,
    totals: Mapping[str, float],
    nodes: Sequence[Mapping[str, float]],
    *,
    row_bytes: int,
) -> Placement:
    """Return the resources of a run from the flags and the cluster.

    Args:
        actors: minimum and maximum size of the pool, or None for as many as fit. The maximum may exceed the cluster:
            machines may join, and Ray Data starts only actors that fit.
        gpus_per_actor: GPUs per actor, or None for 1 if the cluster has a GPU, otherwise 0.
        totals: CPUs and GPUs that the cluster has or may grow to.
        nodes: resources of each machine that is alive.
        row_bytes: bytes of a row before compression, from `attn.schema.row_bytes`.

    Raises:
        UsageError: a flag is out of range, or the minimum pool can never be placed.
    """
    check_pool(actors, gpus_per_actor)
    gpus = gpus_per_actor if gpus_per_actor is not None else float(totals["GPU"] > 0)
    cpus = 1.0 if gpus else CPU_ACTOR_CPUS
    decode_cpus = 1.0 if gpus else CPU_DECODE_CPUS
    fitting = _fitting(gpus, cpus, decode_cpus, totals, nodes)
    low, high = actors or (1 if gpus or _may_come(totals, nodes) else max(fitting, 1), max(fitting, 1))
    if low > fitting:
        asked = f"{low} actor{'s' if low > 1 else ''} of {gpus:g} GPU and {cpus:g} CPU"
        raise UsageError(
            f"{asked}: can never be placed beside one decode task; the cluster has {totals['GPU']:g} GPU and "
            f"{totals['CPU']:g} CPU, and at most {fitting} fit. Lower --actors, or give --gpus-per-actor 0 for the "
            f"CPU; {GROWS}."
        )
    now = min(high, fitting)
    decode_tasks = int((totals["CPU"] - now * cpus) / decode_cpus)
    writers = writers_for(now, gpus, row_bytes, cores=int(_up(nodes)))
    return Placement((low, high), gpus, cpus, decode_cpus, decode_tasks, writers)


def writers_for(actors: int, gpus_per_actor: float, row_bytes: int, *, cores: int) -> int:
    """Return the number of writers that keep up with a pool.

        writers = ⌈actors × rows/s of an actor × bytes/row ÷ bytes/s of a writer⌉, at most one per core

    Args:
        actors: number of actors.
        gpus_per_actor: GPUs per actor; actors that share a GPU share its rows, and those with 0 have a core each.
        row_bytes: bytes of a row before compression.
        cores: cores of the machines that are alive. A writer fills a core, so more writers would not be faster.
    """
    rows_per_s = actors * (GPU_ROWS_PER_S * min(gpus_per_actor, 1) or CPU_ROWS_PER_S)
    return min(math.ceil(rows_per_s * row_bytes / WRITER_BYTES_PER_S), max(cores, LEAST_LIMIT))


def place_decoding(totals: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> Placement:
    """Return the resources of a run without actors: one CPU per decode task. Decode tasks wait for writers.

    Writers start at once and do not move, so their number suits the machines that are alive now.

    Args:
        totals: CPUs that the cluster has or may grow to.
        nodes: resources of each machine that is alive.
    """
    tasks = max(1, int(totals["CPU"]))
    at_once = min(tasks, max(LEAST_DECODERS, int(_up(nodes))))
    return Placement((0, 0), 0, 0, 1, tasks, math.ceil(at_once / DECODERS_PER_WRITER))


def _may_come(totals: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> bool:
    return totals["CPU"] > _up(nodes)


def _up(nodes: Sequence[Mapping[str, float]]) -> float:
    return sum(node.get("CPU", 0) for node in nodes)


def _fitting(
    gpus: float,
    cpus: float,
    decode_cpus: float,
    totals: Mapping[str, float],
    nodes: Sequence[Mapping[str, float]],
) -> int:
    """Number of actors that fit into the cluster beside one decode task, on GPUs or on one core each.

    An actor cannot span machines. For machines that are not yet started, only the total resources are known.
    """
    coming = {name: totals[name] - sum(node.get(name, 0) for node in nodes) for name in totals}
    most = sum(_fitting_on(machine, gpus, cpus) for machine in (*nodes, coming))
    beside_decoding = int((totals["CPU"] - decode_cpus) / cpus)
    return max(0, min(most, beside_decoding))


def _fitting_on(machine: Mapping[str, float], gpus: float, cpus: float) -> int:
    has_cpus = machine.get("CPU", 0)
    return int(min(has_cpus / cpus, machine.get("GPU", 0) / gpus)) if gpus else int(has_cpus)
