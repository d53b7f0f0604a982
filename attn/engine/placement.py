"""Where the work of precompute runs: how many CNN actors, on what, and how much runs ahead of them."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import ray

from attn.engine.growth import VARIABLE, most_resources
from attn.errors import UsageError

# Without a GPU, decoding and the CNN share the cores: an actor a core leaves a quarter of it to decoding in Ray's
# books, and the operating system gives either what it can use.
CPU_ACTOR_CPUS = 0.75
CPU_DECODE_CPUS = 0.25
# Packing a frame of 224 pixels takes 2.8 ms of a core, decoding it 1.4.
DECODERS_PER_WRITER = 2
LEAST_DECODERS = 8  # that writers are made for where machines are still to come
GROWS = f"where machines are still to come, {VARIABLE}=CPU=…,GPU=… says how many"
ACTORS_PER_WRITER = 8


@dataclasses.dataclass(frozen=True)
class Placement:
    """Resources of one run.

    Attributes:
        actors: smallest and largest number of CNN actors.
        gpus_per_actor, cpus_per_actor: of each.
        decode_cpus: of one decode task.
        decode_tasks: how many can run at the same time beside as many actors as fit.
        writers: actors that write parts.
    """

    actors: tuple[int, int]
    gpus_per_actor: float
    cpus_per_actor: float
    decode_cpus: float
    decode_tasks: int
    writers: int

    @property
    def device(self) -> str:
        """Where the actors compute."""
        return "cuda" if self.gpus_per_actor else "cpu"

    def __str__(self) -> str:
        low, high = self.actors
        decoding = f"up to {self.decode_tasks} decode tasks, {self.writers} writers"
        if not high:
            return decoding
        count = str(high) if low == high else f"{low} to {high}"
        what = f"{self.gpus_per_actor:g} GPU" if self.gpus_per_actor else f"{self.cpus_per_actor:g} CPU"
        return f"{count} actors of {what}, {decoding}"


def cluster_totals() -> dict[str, float]:
    """CPUs and GPUs the cluster has, or may grow to."""
    now, most = ray.cluster_resources(), most_resources()
    return {name: max(now.get(name, 0), most.get(name, 0)) for name in ("CPU", "GPU")}


def may_grow() -> bool:
    """Whether an autoscaler may start more machines."""
    return bool(most_resources())


def living_nodes() -> list[Mapping[str, float]]:
    """Resources of each machine that is up."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def place(
    actors: tuple[int, int] | None,
    gpus_per_actor: float | None,
    totals: Mapping[str, float],
    nodes: Sequence[Mapping[str, float]],
) -> Placement:
    """Fits the flags to the cluster.

    Args:
        actors: smallest and largest pool, or None for what fits. The largest may be more than fits: machines may join,
            and Ray Data starts no actor for which there is no room.
        gpus_per_actor: GPUs of an actor, or None for 1 where there is one.
        totals: CPUs and GPUs of the cluster, or what it may grow to.
        nodes: the same, of each machine that is up.

    Raises:
        UsageError: the smallest pool can never be placed.
    """
    gpus = gpus_per_actor if gpus_per_actor is not None else float(totals["GPU"] > 0)
    if gpus < 0:
        raise UsageError(f"--gpus-per-actor {gpus:g}: give 0 for the CPU, or a positive number")
    cpus = 1.0 if gpus else CPU_ACTOR_CPUS
    decode_cpus = 1.0 if gpus else CPU_DECODE_CPUS
    fitting = _fitting(gpus, cpus, decode_cpus, totals, nodes)
    low, high = actors or (1 if gpus or _may_come(totals, nodes) else max(fitting, 1), max(fitting, 1))
    if not 1 <= low <= high:
        raise UsageError(f"--actors {low} {high}: give the smallest and the largest number, 1 or more")
    if low > fitting:
        asked = f"{low} actor{'s' if low > 1 else ''} of {gpus:g} GPU and {cpus:g} CPU"
        raise UsageError(
            f"{asked} can never be placed beside one decode task: the cluster has {totals['GPU']:g} GPU and "
            f"{totals['CPU']:g} CPU; at most {fitting} fit (--actors, --gpus-per-actor 0 for the CPU; {GROWS})"
        )
    now = min(high, fitting)
    decode_tasks = int((totals["CPU"] - now * cpus) / decode_cpus)
    return Placement((low, high), gpus, cpus, decode_cpus, decode_tasks, math.ceil(now / ACTORS_PER_WRITER))


def place_decoding(totals: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> Placement:
    """A CPU for every decode task and no actors; whoever decodes waits while a writer packs.

    Writers start at once and stay where they are, so there are no more than suit the machines that are up.

    Args:
        totals: CPUs of the cluster, or what it may grow to.
        nodes: the same, of each machine that is up.
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
    """Actors that fit into the cluster beside one decode task: on a GPU each, else on a core each.

    An actor stands on one machine. Of machines that are still to be started nothing is known but what they add up to.
    """
    coming = {name: totals[name] - sum(node.get(name, 0) for node in nodes) for name in totals}
    most = sum(_fitting_on(machine, gpus, cpus) for machine in (*nodes, coming))
    beside_decoding = int((totals["CPU"] - decode_cpus) / cpus)
    return max(0, min(most, beside_decoding))


def _fitting_on(machine: Mapping[str, float], gpus: float, cpus: float) -> int:
    has_cpus = machine.get("CPU", 0)
    return int(min(has_cpus / cpus, machine.get("GPU", 0) / gpus)) if gpus else int(has_cpus)
