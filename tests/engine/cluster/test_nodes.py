"""Machines join and leave while a job works: the pool follows, and every frame of every video is there once."""

import contextlib
import time

import pytest

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # a machine of two cores is busy with all of these


@pytest.fixture(scope="module")
def nodes(start_nodes):
    """A head of one CPU; the tests add to it."""
    started = start_nodes(num_cpus=1)
    yield started
    started.end()


@pytest.fixture
def join(nodes):
    """join(num_cpus=2): one more machine until the test ends."""
    with contextlib.ExitStack() as leaving:

        def add(**resources):
            joined = nodes.add(**resources)
            leaving.callback(lambda: joined in nodes.alive and nodes.lose(joined))
            return joined

        yield add


def test_the_pool_grows_onto_a_machine_that_joins_and_outlives_it(
    nodes, join, flags, videos, tmp_path, wait_for, check_videos
):
    store = tmp_path / "store"
    slow = ["--videos", str(videos), "--input-size", "224", "--batch-size", "8"]
    job = nodes.submit("jobs/precompute.py", *flags, *slow, "--actors", "1", "3")
    wait_for(lambda: job.alive() and list(store.glob("part-*")), "a part")
    assert len(nodes.processes(nodes.head, "ComputeActor")) == 1
    joined = join(num_cpus=2)
    wait_for(lambda: job.alive() and nodes.processes(joined, "ComputeActor"), "an actor there")
    nodes.lose(joined)
    code, printed = job.wait()
    assert code == 0, printed
    check_videos(store, videos)


def test_a_job_waits_for_the_first_machine_of_a_cluster_that_grows(
    start_nodes, flags, many_clips, tmp_path, wait_for, check_videos
):
    """As on a cloud: the head has no CPU for tasks, and no other machine is there yet."""
    nodes = start_nodes({"ATTN_CLUSTER_MAX": "CPU=4"}, num_cpus=0)
    try:
        job = nodes.submit("jobs/precompute.py", *flags, "--actors", "1", "2")
        wait_for(lambda: job.alive() and "actors of" in job.ask("logs"), "its plan")
        time.sleep(5)
        assert job.alive()
        nodes.add(num_cpus=2)
        code, printed = job.wait()
        assert code == 0, printed
        check_videos(tmp_path / "store", many_clips)
    finally:
        nodes.end()


def test_the_pool_shrinks_when_it_has_nothing_to_do(nodes, join, flags, videos, tmp_path, wait_for, check_videos):
    store, joined = tmp_path / "store", join(num_cpus=1)
    patient = ["--videos", str(videos), "--decode-timeout-s", "200", "--actors", "1", "2"]
    job = nodes.submit("jobs/precompute.py", *flags, *patient)

    def pool() -> int:
        assert job.alive()
        return sum(len(nodes.processes(node, "ComputeActor")) for node in (nodes.head, joined))

    wait_for(lambda: pool() == 2, "a pool of two")
    stopped = wait_for(nodes.stop_decoders, "a decoder at work")
    wait_for(lambda: pool() == 1, "a pool of one")
    time.sleep(3)
    assert pool() == 1  # at the end of a job there would be none by now
    assert not (store / "_SUCCESS.json").exists()
    for process in stopped:
        process.resume()
    code, printed = job.wait()
    assert code == 0, printed
    check_videos(store, videos)


def test_what_needs_no_gpu_takes_machines_without_one_first(nodes, join, flags, clip_folder, tmp_path, wait_for):
    with_gpu, without = join(num_cpus=4, num_gpus=1), join(num_cpus=3)  # there is room for all without the first
    few = ["--videos", str(clip_folder), "--gpus-per-actor", "0", "--actors", "1", "1"]
    job = nodes.submit("jobs/precompute.py", *flags, *few)
    seen = {with_gpu: set(), without: set()}

    def over() -> bool:
        for node, decoders in seen.items():  # a worker keeps its decoder for the next task
            decoders |= {process.pid for process in nodes.processes(node, "decoder_process")}
        return (tmp_path / "store" / "_SUCCESS.json").exists() or not job.alive()

    wait_for(over, "the end")
    code, printed = job.wait()
    assert code == 0, printed
    assert seen[without]
    assert not seen[with_gpu]
