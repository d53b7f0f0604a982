"""Placement of training workers: CPUs and GPUs per worker."""

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
        if self.in_place:
            return f"in this process on {'1 GPU' if self.gpu else f'{self.cpus} CPU'}"
        plural = "s" if self.workers > 1 else ""
        return f"{self.workers} worker{plural} of {self.cpus} CPU{' and 1 GPU' if self.gpu else ''}"

    @property
    def scaling(self) -> ScalingConfig:
        """Resources as Ray Train's scaling config; 0 workers select its local mode."""
        if self.in_place:
            return ScalingConfig(num_workers=0, use_gpu=self.gpu)
        each: dict[str, float] = {"CPU": self.cpus, **({"GPU": 1} if self.gpu else {})}
        return ScalingConfig(num_workers=self.workers, use_gpu=self.gpu, resources_per_worker=each)


def place_training(workers: int, gpu: bool | None, *, most_cpus: int | None = None) -> WorkerPlacement:
    """Place the workers of a training; start or join Ray unless one worker can run in this process.

    Ray Train starts five processes for a single worker, which takes longer than many trainings on small data sets. The
    price is that a worker that dies in this process ends the job; the same command resumes.

    Args:
        workers: number of workers.
        gpu: one GPU for each worker; None to use GPUs if there are any.
        most_cpus: maximum number of CPUs per worker; None for no limit.

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
    """Give all workers the same, largest possible number of CPUs, and a GPU each if the cluster has GPUs.

    Ray sets the number of torch threads to the CPUs of the worker, so with one CPU the others would be idle. The price
    is that nothing else can run on these machines in the meantime. A worker with a GPU gets that GPU's share of the
    machine's CPUs, so that the other GPUs can be used too.

    Args:
        workers: number of workers.
        gpu: one GPU for each worker; None to use GPUs if there are any.
        totals: CPUs and GPUs of the cluster, or the maximum that it can grow to.
        nodes: CPUs and GPUs of each running machine.
        most_cpus: maximum number of CPUs per worker; None for no limit.

    Raises:
        UsageError: the cluster can never have enough resources.
    """
    use_gpu = totals.get("GPU", 0) > 0 if gpu is None else gpu
    unit = "GPU" if use_gpu else "CPU"
    has = totals.get(unit, 0)
    if workers > has:
        way_out = "Give fewer." if has else "Leave out --gpu."
        raise UsageError(f"--workers {workers}: they need {workers} {unit}, but the cluster has {has:g}. {way_out}")
    if workers > totals.get("CPU", 0):
        raise UsageError(
            f"--workers {workers}: they need a CPU each, but the cluster has {totals['CPU']:g}. Give fewer."
        )
    cpus = cpus_per_worker(workers, nodes, use_gpu=use_gpu)
    return WorkerPlacement(workers, min(cpus, most_cpus or cpus), use_gpu)


def cpus_per_worker(workers: int, nodes: Sequence[Mapping[str, float]], *, use_gpu: bool) -> int:
    """Return the largest number of CPUs that every worker can have; 1 if machines must be started first."""

    def share(node: Mapping[str, float]) -> int:
        return int(node.get("CPU", 0) // max(node.get("GPU", 0), 1)) if use_gpu else int(node.get("CPU", 0))

    def fitting(cpus: int) -> int:
        return sum(int(node.get("GPU", 0)) if use_gpu else share(node) // cpus for node in nodes if share(node) >= cpus)

    most = max((share(node) for node in nodes if not use_gpu or node.get("GPU", 0)), default=0)
    return next((cpus for cpus in range(most, 0, -1) if fitting(cpus) >= workers), 1)
