import pytest

from attn.engine.train.worker_placement import WorkerPlacement, cpus_per_worker, place_workers
from attn.errors import UsageError

LAPTOP = [{"CPU": 2.0}]
CLUSTER = [{"CPU": 4.0}, {"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}]


@pytest.mark.parametrize(
    ("workers", "nodes", "use_gpu", "cpus"),
    [
        (1, LAPTOP, False, 2),
        (2, LAPTOP, False, 1),
        (1, CLUSTER, False, 16),
        (2, CLUSTER, False, 8),
        (3, CLUSTER, False, 8),
        (4, CLUSTER, False, 5),
        (1, CLUSTER, True, 8),
        (2, CLUSTER, True, 8),
        (3, CLUSTER, True, 8),
        (4, CLUSTER, True, 1),
        (1, [], False, 1),
        (1, [{"CPU": 0.0}], False, 1),
    ],
)
def test_workers_get_the_most_cpus_that_all_can_have(workers, nodes, use_gpu, cpus):
    assert cpus_per_worker(workers, nodes, use_gpu=use_gpu) == cpus


def test_a_gpu_is_used_where_there_is_one():
    totals = {"CPU": 28, "GPU": 3}
    assert place_workers(2, None, totals, CLUSTER) == WorkerPlacement(2, cpus=8, gpu=True)
    assert place_workers(2, False, totals, CLUSTER) == WorkerPlacement(2, cpus=8, gpu=False)
    assert place_workers(2, None, {"CPU": 2}, LAPTOP) == WorkerPlacement(2, cpus=1, gpu=False)


def test_a_worker_can_be_held_to_fewer_cpus():
    assert place_workers(1, None, {"CPU": 16, "GPU": 2}, CLUSTER[1:2], most_cpus=3) == WorkerPlacement(1, 3, gpu=True)
    assert place_workers(1, None, {"CPU": 2}, LAPTOP, most_cpus=8) == WorkerPlacement(1, 2, gpu=False)


@pytest.mark.parametrize(("gpu", "each"), [(True, {"CPU": 8, "GPU": 1}), (False, {"CPU": 8})])
def test_ray_is_asked_for_just_that(gpu, each):
    placement = WorkerPlacement(2, cpus=8, gpu=gpu)
    assert (placement.scaling.num_workers, placement.scaling.use_gpu) == (2, gpu)
    assert placement.scaling.resources_per_worker == each
    assert str(placement) == "2 workers of 8 CPU" + (" and 1 GPU" if gpu else "")


def test_gpus_without_a_cpu_each_are_refused():
    machine = {"CPU": 4.0, "GPU": 8.0}
    with pytest.raises(UsageError, match="--workers 8: they need a CPU each, but the cluster has 4"):
        place_workers(8, True, machine, [machine])
    assert place_workers(4, True, machine, [machine]).cpus == 1


@pytest.mark.parametrize(("workers", "gpu", "need"), [(3, None, "3 CPU"), (1, True, "1 GPU")])
def test_what_the_cluster_never_has_is_refused(workers, gpu, need):
    with pytest.raises(UsageError, match=need):
        place_workers(workers, gpu, {"CPU": 2}, LAPTOP)


def test_a_training_in_place_names_no_worker():
    assert str(WorkerPlacement(1, 2, gpu=False, in_place=True)) == "in this process on 2 CPU"
    assert str(WorkerPlacement(1, 2, gpu=True, in_place=True)) == "in this process on 1 GPU"
    assert str(WorkerPlacement(2, 1, gpu=False)) == "2 workers of 1 CPU"
