"""How large a cluster may become is learnt from what `ray up` leaves on the head, or told."""

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from attn.engine import autoscaler
from attn.engine.autoscaler import most_of, most_resources, parse_most
from attn.errors import UsageError

CONFIG: dict[str, Any] = {
    "max_workers": 5,
    "head_node_type": "head",
    "available_node_types": {
        "head": {"resources": {"CPU": 4}, "max_workers": 0},
        "cpu": {"resources": {"CPU": 32}, "max_workers": 3},
        "gpu": {"resources": {"CPU": 16, "GPU": 2}, "max_workers": 4},
    },
}


def test_each_resource_is_counted_with_the_machines_that_have_most_of_it() -> None:
    assert most_of(CONFIG) == {"CPU": 4 + 3 * 32 + 2 * 16, "GPU": 4 * 2}


def test_a_kind_without_a_number_of_its_own_has_that_of_the_cluster() -> None:
    config = copy.deepcopy(CONFIG)
    del config["available_node_types"]["gpu"]["max_workers"]
    assert most_of(config)["GPU"] == 5 * 2


def test_machines_of_which_nothing_is_said_tell_nothing() -> None:
    """Those of one's own, which are all there as soon as they are up."""
    kinds = {"node": {"resources": {}, "max_workers": 2}}
    assert most_of({"max_workers": 2, "head_node_type": "node", "available_node_types": kinds}) == {}


@pytest.mark.parametrize("text", ["CPU=128,GPU=8", " CPU = 128, GPU = 8 "])
def test_what_is_told(text: str) -> None:
    assert parse_most(text) == {"CPU": 128.0, "GPU": 8.0}


@pytest.mark.parametrize(
    "text", ["8", "CPU", "CPU=", "CPU=many", "cpu=8", "CPU=8;GPU=1", "CPU=-1", "CPU=inf", "CPU=nan"]
)
def test_what_is_told_wrongly_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"^ATTN_CLUSTER_MAX={text}: not a cluster size. Give the maximum size"):
        parse_most(text)


@pytest.fixture
def cluster(ray_local: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a cluster that was told nothing yet, and is not any more afterwards."""
    from ray.experimental import internal_kv

    monkeypatch.delenv(autoscaler.VARIABLE, raising=False)
    yield ray_local.get_runtime_context().gcs_address
    internal_kv._internal_kv_del(autoscaler.key())


def test_a_cluster_that_does_not_grow(cluster: str) -> None:
    assert most_resources() == {}


def test_the_description_that_the_monitor_of_this_cluster_was_started_with(cluster: str, tmp_path: Path) -> None:
    description = tmp_path / "bootstrap.yaml"
    description.write_text(yaml.safe_dump(CONFIG))
    with _monitor("198.51.100.1:6379", description):
        assert most_resources() == {}  # of another cluster
    with _monitor(cluster, description):
        assert most_resources() == most_of(CONFIG)
    assert most_resources() == most_of(CONFIG)  # where no monitor runs, since it was left in the cluster


def test_a_description_that_is_none_is_passed_over(cluster: str, tmp_path: Path) -> None:
    description = tmp_path / "bootstrap.yaml"
    description.write_text("- no\n- cluster\n")
    with _monitor(cluster, description):
        assert most_resources() == {}


def test_what_is_told_counts_more(cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    description = tmp_path / "bootstrap.yaml"
    description.write_text(yaml.safe_dump(CONFIG))
    monkeypatch.setenv(autoscaler.VARIABLE, "CPU=2")
    with _monitor(cluster, description):
        assert most_resources() == {"CPU": 2.0}
    monkeypatch.delenv(autoscaler.VARIABLE)
    assert most_resources() == {"CPU": 2.0}


class _monitor:  # noqa: N801  used as a function
    """A process with the command line of Ray's monitor."""

    def __init__(self, gcs_address: str, description: Path):
        flags = [f"--gcs-address={gcs_address}", f"--autoscaling-config={description}"]
        code = "print(flush=True); input()"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen([sys.executable, "-c", code, "monitor.py", *flags], **pipes)

    def __enter__(self) -> None:
        self._process.stdout.readline()

    def __exit__(self, *_: object) -> None:
        self._process.communicate(b"\n")
