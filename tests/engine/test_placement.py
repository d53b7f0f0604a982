"""What the flags ask for is fitted to the cluster, or refused with what would fit."""

import pytest

from attn.engine.placement import (
    CPU_ROWS_PER_S,
    GPU_ROWS_PER_S,
    WRITER_BYTES_PER_S,
    place,
    place_decoding,
    writers_for,
)
from attn.engine.pool_flags import check_pool
from attn.errors import UsageError

LAPTOP = {"CPU": 2.0, "GPU": 0.0}
CLUSTER = {"CPU": 64.0, "GPU": 8.0}
ROW = 10_000
"""Bytes of a row with maps of 101 classes."""


@pytest.mark.parametrize("actors", [(0, 0), (-1, 3), (3, 1)])
def test_sizes_that_are_no_range_are_refused_without_a_cluster(actors: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=f"^--actors {actors[0]} {actors[1]}: not a range"):
        check_pool(actors, None)


@pytest.mark.parametrize("gpus", [-1.0, float("nan"), float("inf")])
def test_a_number_of_gpus_that_is_none_is_refused_without_a_cluster(gpus: float) -> None:
    with pytest.raises(UsageError, match=f"^--gpus-per-actor {gpus:g}: out of range"):
        check_pool(None, gpus)


def test_without_a_gpu_every_core_gets_an_actor_and_leaves_room_for_decoding() -> None:
    found = place(None, None, LAPTOP, [LAPTOP], row_bytes=ROW)
    assert found.actors == (2, 2)
    assert (found.device, found.gpus_per_actor) == ("cpu", 0)
    assert found.actors[1] * found.cpus_per_actor + found.decode_tasks * found.decode_cpus <= 2
    assert found.decode_tasks >= 1


@pytest.mark.parametrize("cores", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("machines", [1, 3])
def test_without_a_gpu_there_is_one_actor_a_core_whatever_the_machines(cores: int, machines: int) -> None:
    nodes = [{"CPU": float(cores)}] * machines
    found = place(None, None, {"CPU": float(cores * machines), "GPU": 0.0}, nodes, row_bytes=ROW)
    assert found.actors == (cores * machines, cores * machines)
    assert found.decode_tasks == cores * machines


def test_an_actor_does_not_span_machines() -> None:
    nodes = [{"CPU": 4.0, "GPU": 0.5}] * 4
    assert place(None, 0.5, {"CPU": 16.0, "GPU": 2.0}, nodes, row_bytes=ROW).actors == (1, 4)
    with pytest.raises(UsageError, match="at most 0 fit"):
        place(None, 1.0, {"CPU": 16.0, "GPU": 2.0}, nodes, row_bytes=ROW)


def test_machines_that_are_still_to_come_count() -> None:
    assert place(None, 1.0, {"CPU": 36.0, "GPU": 8.0}, [{"CPU": 4.0}], row_bytes=ROW).actors == (1, 8)


def test_with_gpus_the_pool_grows_to_all_of_them() -> None:
    found = place(None, None, CLUSTER, [CLUSTER], row_bytes=ROW)
    assert found.actors == (1, 8)
    assert (found.device, found.gpus_per_actor, found.decode_tasks) == ("cuda", 1, 56)


def test_half_a_gpu_each_doubles_the_pool() -> None:
    assert place(None, 0.5, CLUSTER, [CLUSTER], row_bytes=ROW).actors == (1, 16)


def test_the_cpu_can_be_chosen_beside_gpus() -> None:
    assert place(None, 0, CLUSTER, [CLUSTER], row_bytes=ROW).device == "cpu"


def test_a_pool_may_be_larger_than_the_cluster_is_now_and_leaves_room_for_decoding() -> None:
    found = place((1, 100), 1, CLUSTER, [CLUSTER], row_bytes=ROW)
    assert found.actors == (1, 100)
    assert found.decode_tasks == 56
    assert found.writers == place(None, 1, CLUSTER, [CLUSTER], row_bytes=ROW).writers


@pytest.mark.parametrize(
    ("actors", "gpus", "totals", "said"),
    [
        ((1, 1), 1.0, LAPTOP, "0 GPU"),
        ((9, 9), 1.0, CLUSTER, "at most 8 fit"),
        ((3, 2), None, LAPTOP, "--actors 3 2"),
        ((0, 2), None, LAPTOP, "--actors 0 2"),
        (None, -1.0, LAPTOP, "--gpus-per-actor -1"),
        (None, 1.0, {"CPU": 1.0, "GPU": 4.0}, "at most 0 fit"),
    ],
)
def test_what_can_never_be_placed_is_refused(
    actors: tuple[int, int] | None, gpus: float | None, totals: dict[str, float], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        place(actors, gpus, totals, [totals], row_bytes=ROW)


def test_what_starts_at_once_suits_the_machines_that_are_up() -> None:
    most, head = {"CPU": 128.0, "GPU": 8.0}, {"CPU": 0.0}
    found = place_decoding(most, [head])
    assert found.decode_tasks == 128
    assert found.writers == 4
    assert place_decoding(most, [head, most]).writers == 64
    assert place(None, 0.0, most, [head], row_bytes=ROW).actors == (1, 128)


@pytest.mark.parametrize("cpus", [0.5, 1.0, 2.0, 64.0])
def test_decoding_alone_has_every_core_and_asks_for_no_gpu(cpus: float) -> None:
    totals = {"CPU": cpus, "GPU": 8.0}
    found = place_decoding(totals, [totals])
    assert found.decode_tasks * found.decode_cpus == max(1, cpus // 1)
    assert found.writers >= 1
    assert found.device == "cpu"
    assert "actors" not in str(found)


@pytest.mark.parametrize("row_bytes", [400, 10_302, 102_000, 306_800])
@pytest.mark.parametrize("actors", [1, 2, 8])
@pytest.mark.parametrize(("gpus", "rate"), [(0, CPU_ROWS_PER_S), (1, GPU_ROWS_PER_S), (0.5, GPU_ROWS_PER_S / 2)])
def test_the_writers_keep_up_with_the_actors_and_none_is_left_over(row_bytes, actors, gpus, rate):
    found, asked = writers_for(actors, gpus, row_bytes, cores=1000), actors * rate * row_bytes
    assert (found - 1) * WRITER_BYTES_PER_S < asked <= found * WRITER_BYTES_PER_S


def test_large_rows_on_gpus_get_more_writers_and_no_more_than_cores():
    assert [place(None, None, CLUSTER, [CLUSTER], row_bytes=size).writers for size in (400, 10_302, 51_000)] == [
        1,
        7,
        33,
    ]
    assert place(None, None, CLUSTER, [CLUSTER], row_bytes=1_000_000).writers == 64
    assert place((1, 1), 1, CLUSTER, [{"CPU": 0.0}], row_bytes=1_000_000).writers == 4


def test_pools_on_cores_need_few_writers():
    assert place(None, 0, CLUSTER, [CLUSTER], row_bytes=10_302).writers == 3
    assert place(None, None, LAPTOP, [LAPTOP], row_bytes=10_302).writers == 1
