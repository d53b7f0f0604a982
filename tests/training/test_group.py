import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from attn.training.group import Group

CPU = torch.device("cpu")


def worker(rank, size, address, folder):
    dist.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=size)
    group = Group(rank, rank, size, size, CPU)
    total = group.sum(torch.tensor([1.0, 10.0**rank]))
    words = group.gather("no room" if rank == 1 else None)
    (folder / str(rank)).write_text(f"{total.tolist()} {words}")
    dist.destroy_process_group()


def test_all_workers_get_the_sum_and_what_each_has(tmp_path):
    mp.spawn(worker, (2, tmp_path / "address", tmp_path), nprocs=2)
    assert {(tmp_path / str(rank)).read_text() for rank in range(2)} == {"[2.0, 11.0] [None, 'no room']"}


@pytest.mark.parametrize("value", ["no room", None])
def test_a_worker_alone_needs_no_process_group(value):
    alone = Group(0, 0, 1, 1, CPU)
    assert alone.gather(value) == [value]
    assert alone.sum(torch.tensor([2.0])).tolist() == [2.0]
