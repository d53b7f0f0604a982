"""Which CPUs and GPUs the workers of a training get."""

import dataclasses
from collections.abc import Mapping, Sequence

from ray.train import ScalingConfig

from attn.errors import UsageError


@dataclasses.dataclass(frozen=True)
class WorkerPlacement:
    """What a training asks of the cluster: so many workers, each with so many CPUs and perhaps a GPU."""

    workers: int
    cpus: int
    gpu: bool

    def __str__(self) -> str:
        plural = "s" if self.workers > 1 else ""
        return f"{self.workers} worker{plural} of {self.cpus} CPU{' and 1 GPU' if self.gpu else ''}"

    @property
    def scaling(self) -> ScalingConfig:
        """The same for Ray Train."""
        each: dict[str, float] = {"CPU": self.cpus, **({"GPU": 1} if self.gpu else {})}
        return ScalingConfig(num_workers=self.workers, use_gpu=self.gpu, resources_per_worker=each)


def place_workers(
    workers: int, gpu: bool | None, totals: Mapping[str, float], nodes: Sequence[Mapping[str, float]]
) -> WorkerPlacement:
    """Gives each worker as many CPUs as all of them can have at once, and a GPU where there is one.

    Ray sets the threads of torch to the CPUs of the worker: asking for one would leave the others idle. The price is
    that nothing else runs on these machines meanwhile.

    Args:
        workers: how many.
        gpu: one GPU each; None for where the cluster has one.
        totals: CPUs and GPUs of the cluster, or what it may grow to.
        nodes: the same, of each machine that is up.

    Raises:
        UsageError: the cluster never has so much.
    """
    use_gpu = totals.get("GPU", 0) > 0 if gpu is None else gpu
    unit = "GPU" if use_gpu else "CPU"
    has = totals.get(unit, 0)
    if workers > has:
        way_out = "give fewer --workers" if has else "leave --gpu away"
        raise UsageError(f"{workers} workers need {workers} {unit}, the cluster has {has:g}; {way_out}")
    return WorkerPlacement(workers, cpus_per_worker(workers, nodes, use_gpu=use_gpu), use_gpu)


def cpus_per_worker(workers: int, nodes: Sequence[Mapping[str, float]], *, use_gpu: bool) -> int:
    """The largest number of CPUs that every worker can have; 1 where machines must be started first."""

    def fitting(cpus: int) -> int:
        return sum(int(min(node.get("CPU", 0) // cpus, node.get("GPU", 0) if use_gpu else workers)) for node in nodes)

    most = int(max((node.get("CPU", 0) for node in nodes), default=0))
    return next((cpus for cpus in range(most, 0, -1) if fitting(cpus) >= workers), 1)
