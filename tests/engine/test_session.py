import os
import subprocess
import sys

import pytest

from attn.engine.session import start_ray


def test_a_second_start_changes_nothing(ray_local):
    before = ray_local.cluster_resources()
    start_ray(num_cpus=1)
    assert ray_local.cluster_resources() == before
    assert before["CPU"] == 2


START = """
import attn.engine.session as session, attn.errors, sys
try:
    session.start_ray()
except attn.errors.UsageError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("address", ["127.0.0.1:1", "auto-matic", "ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_named_at_once(address):
    environment = {**os.environ, "RAY_ADDRESS": address}
    run = subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert address in run.stderr
    assert "unset RAY_ADDRESS" in run.stderr
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize("address", ["http://head:8265", "https://head.example/ray"])
def test_the_address_of_the_job_server_is_told_from_that_of_the_head(address):
    environment = {**os.environ, "RAY_ADDRESS": address}
    run = subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert address in run.stderr
    for way_out in ("job server", "ray job submit", "unset RAY_ADDRESS", "host:port of the head", "auto"):
        assert way_out in run.stderr
    assert run.stderr.count("\n") == 1


SLOW_START = """
import logging, ray
import attn.engine.session as session
logging.basicConfig(level=logging.WARNING)
init = ray.init
def slow(**settings):
    ray.init = init
    raise Exception("The current node timed out during startup. This could happen because …")
ray.init = slow
session.start_ray(num_cpus=1)
print(ray.cluster_resources()["CPU"])
"""


def test_a_ray_that_starts_too_slowly_gets_another_chance():
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-c", SLOW_START]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert run.stdout == "1.0\n", run.stderr
    assert run.stderr.count("very busy; trying once more") == 1
