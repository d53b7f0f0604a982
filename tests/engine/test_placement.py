"""What the flags ask for is fitted to the cluster, or refused with what would fit."""

import pytest

from attn.engine.placement import place, place_decoding
from attn.errors import UsageError

LAPTOP = {"CPU": 2.0, "GPU": 0.0}
CLUSTER = {"CPU": 64.0, "GPU": 8.0}


def test_without_a_gpu_every_core_gets_an_actor_and_leaves_room_for_decoding() -> None:
    found = place(None, None, LAPTOP, [LAPTOP])
    assert found.actors == (2, 2)
    assert (found.device, found.gpus_per_actor) == ("cpu", 0)
    assert found.actors[1] * found.cpus_per_actor + found.decode_tasks * found.decode_cpus <= 2
    assert found.decode_tasks >= 1


@pytest.mark.parametrize("cores", [1, 2, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("machines", [1, 3])
def test_without_a_gpu_there_is_one_actor_a_core_whatever_the_machines(cores: int, machines: int) -> None:
    nodes = [{"CPU": float(cores)}] * machines
    found = place(None, None, {"CPU": float(cores * machines), "GPU": 0.0}, nodes)
    assert found.actors == (cores * machines, cores * machines)
    assert found.decode_tasks == cores * machines


def test_an_actor_does_not_span_machines() -> None:
    nodes = [{"CPU": 4.0, "GPU": 0.5}] * 4
    assert place(None, 0.5, {"CPU": 16.0, "GPU": 2.0}, nodes).actors == (1, 4)
    with pytest.raises(UsageError, match="at most 0 fit"):
        place(None, 1.0, {"CPU": 16.0, "GPU": 2.0}, nodes)


def test_machines_that_are_still_to_come_count() -> None:
    assert place(None, 1.0, {"CPU": 36.0, "GPU": 8.0}, [{"CPU": 4.0}]).actors == (1, 8)


def test_with_gpus_the_pool_grows_to_all_of_them() -> None:
    found = place(None, None, CLUSTER, [CLUSTER])
    assert found.actors == (1, 8)
    assert (found.device, found.gpus_per_actor, found.decode_tasks) == ("cuda", 1, 56)


def test_half_a_gpu_each_doubles_the_pool() -> None:
    assert place(None, 0.5, CLUSTER, [CLUSTER]).actors == (1, 16)


def test_the_cpu_can_be_chosen_beside_gpus() -> None:
    assert place(None, 0, CLUSTER, [CLUSTER]).device == "cpu"


def test_a_pool_may_be_larger_than_the_cluster_is_now_and_leaves_room_for_decoding() -> None:
    found = place((1, 100), 1, CLUSTER, [CLUSTER])
    assert found.actors == (1, 100)
    assert found.decode_tasks == 56
    assert found.writers == 1


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
        place(actors, gpus, totals, [totals])


def test_what_starts_at_once_suits_the_machines_that_are_up() -> None:
    most, head = {"CPU": 128.0, "GPU": 8.0}, {"CPU": 0.0}
    found = place_decoding(most, [head])
    assert found.decode_tasks == 128
    assert found.writers == 4
    assert place_decoding(most, [head, most]).writers == 64
    assert place(None, 0.0, most, [head]).actors == (1, 128)


@pytest.mark.parametrize("cpus", [0.5, 1.0, 2.0, 64.0])
def test_decoding_alone_has_every_core_and_asks_for_no_gpu(cpus: float) -> None:
    totals = {"CPU": cpus, "GPU": 8.0}
    found = place_decoding(totals, [totals])
    assert found.decode_tasks * found.decode_cpus == max(1, cpus // 1)
    assert found.writers >= 1
    assert found.device == "cpu"
    assert "actors" not in str(found)
