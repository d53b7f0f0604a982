"""CPUs and GPUs of the workers of a training."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from ray.train import ScalingConfig

from attn.engine.placement import cluster_totals, living_nodes
from attn.engine.session import start_ray, this_machine, works_in_place
from attn.errors import UsageError


@dataclasses.dataclass(frozen=True)
class WorkerPlacement:
    """Resources of a training.

    Attributes:
        workers: number of workers.
        cpus: CPUs of each worker.
        gpu: whether each worker has a GPU.
        in_place: the only worker is the current process (local mode of Ray Train).
    """

    workers: int
    cpus: int
    gpu: bool
    in_place: bool = False

    def __str__(self) -> str:
        plural = "s" if self.workers > 1 else ""
        return f"{self.workers} worker{plural} of {self.cpus} CPU{' and 1 GPU' if self.gpu else ''}"

    @property
    def scaling(self) -> ScalingConfig:
        """Resources in the terms of Ray Train; no workers stand for its local mode."""
        if self.in_place:
            return ScalingConfig(num_workers=0, use_gpu=self.gpu)
        each: dict[str, float] = {"CPU": self.cpus, **({"GPU": 1} if self.gpu else {})}
        return ScalingConfig(num_workers=self.workers, use_gpu=self.gpu, resources_per_worker=each)


def place_training(workers: int, gpu: bool | None, *, most_cpus: int | None = None) -> WorkerPlacement:
    """Place the workers of a training; start or join Ray unless one worker can run in this process.

    Ray Train starts five processes for a single worker, which takes longer than many a training on a small data set.
    In place, a worker that dies takes the job with it: the same command resumes.

    Args:
        workers: number of workers.
        gpu: one GPU for each worker; None to use GPUs if there are any.
        most_cpus: upper bound of the CPUs per worker; None for no bound.

    Raises:
        UsageError: the resources do not exist, or Ray does not start.
    """
    if workers == 1 and works_in_place():
        totals = this_machine()
        placement = place_workers(1, gpu, totals, [totals], most_cpus=most_cpus)
        if placement.gpu == torch.cuda.is_available():  # local mode uses a GPU whenever torch sees one
            return dataclasses.replace(placement, in_place=True)
    start_ray()
    return place_workers(workers, gpu, cluster_totals(), living_nodes(), most_cpus=most_cpus)


def place_workers(
    workers: int,
    gpu: bool | None,
    totals: Mapping[str, float],
    nodes: Sequence[Mapping[str, float]],
    *,
    most_cpus: int | None = None,
) -> WorkerPlacement:
    """Gives each worker as many CPUs as all of them can have at once, and a GPU where there is one.

    Ray sets the threads of torch to the CPUs of the worker: asking for one would leave the others idle. The price is
    that nothing else runs on these machines meanwhile. Beside a GPU a worker has that GPU's share of the machine, so
    that the other GPUs can be used too.

    Args:
        workers: how many.
        gpu: one GPU each; None for where the cluster has one.
        totals: CPUs and GPUs of the cluster, or what it may grow to.
        nodes: the same, of each machine that is up.
        most_cpus: no worker gets more; None for no limit.

    Raises:
        UsageError: the cluster never has so much.
    """
    use_gpu = totals.get("GPU", 0) > 0 if gpu is None else gpu
    unit = "GPU" if use_gpu else "CPU"
    has = totals.get(unit, 0)
    if workers > has:
        way_out = "give fewer --workers" if has else "leave --gpu away"
        raise UsageError(f"{workers} workers need {workers} {unit}, the cluster has {has:g}; {way_out}")
    if workers > totals.get("CPU", 0):
        raise UsageError(f"{workers} workers need a CPU each, the cluster has {totals['CPU']:g}; give fewer --workers")
    cpus = cpus_per_worker(workers, nodes, use_gpu=use_gpu)
    return WorkerPlacement(workers, min(cpus, most_cpus or cpus), use_gpu)


def cpus_per_worker(workers: int, nodes: Sequence[Mapping[str, float]], *, use_gpu: bool) -> int:
    """The largest number of CPUs that every worker can have; 1 where machines must be started first."""

    def share(node: Mapping[str, float]) -> int:
        return int(node.get("CPU", 0) // max(node.get("GPU", 0), 1)) if use_gpu else int(node.get("CPU", 0))

    def fitting(cpus: int) -> int:
        return sum(int(node.get("GPU", 0)) if use_gpu else share(node) // cpus for node in nodes if share(node) >= cpus)

    most = max((share(node) for node in nodes if not use_gpu or node.get("GPU", 0)), default=0)
    return next((cpus for cpus in range(most, 0, -1) if fitting(cpus) >= workers), 1)
