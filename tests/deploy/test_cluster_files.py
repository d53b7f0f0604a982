"""Ray itself accepts the cluster files, and refuses them with the mistakes one makes in them."""

from collections.abc import Callable
from typing import Any

import click
import jsonschema
import pytest

Config = dict[str, Any]

CLOUDS = ("cluster.yaml", "deploy/gcp.yaml")
FILES = (*CLOUDS, "deploy/on_premise.yaml")


@pytest.mark.parametrize("name", FILES)
def test_ray_accepts_the_file(name: str, read: Callable[[str], Any], prepare: Callable[[Config], Config]) -> None:
    prepare(read(name))


@pytest.mark.parametrize("name", CLOUDS)
def test_workers_come_and_go(name: str, read: Callable[[str], Any], prepare: Callable[[Config], Config]) -> None:
    config = prepare(read(name))
    workers = {key: node for key, node in config["available_node_types"].items() if key != config["head_node_type"]}
    assert {node["min_workers"] for node in workers.values()} == {0}
    assert {node["max_workers"] for node in workers.values()} == {config["max_workers"]}
    assert config["idle_timeout_minutes"] > 0
    assert config["available_node_types"][config["head_node_type"]]["resources"] == {"CPU": 0}


def test_every_machine_of_ones_own_is_a_worker(read: Callable[[str], Any], prepare: Callable[[Config], Config]) -> None:
    config = read("deploy/on_premise.yaml")
    (node,) = prepare(config)["available_node_types"].values()
    assert node["min_workers"] == node["max_workers"] == len(config["provider"]["worker_ips"])


def _misspell(config: Config) -> None:
    config["idle_timeout_minuets"] = config.pop("idle_timeout_minutes")


def _no_such_head(config: Config) -> None:
    config["head_node_type"] = "haed"


def _more_at_least_than_at_most(config: Config) -> None:
    config["available_node_types"]["gpu_worker"]["min_workers"] = config["max_workers"] + 1


def _misspell_in_a_node_type(config: Config) -> None:
    config["available_node_types"]["gpu_worker"]["min_worker"] = 0


def _text_for_a_number(config: Config) -> None:
    config["max_workers"] = "eight"


@pytest.mark.parametrize("name", CLOUDS)
@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_misspell, "idle_timeout_minuets"),
        (_no_such_head, "must be one of"),
        (_more_at_least_than_at_most, "smaller than the sum"),
        (_misspell_in_a_node_type, "min_worker"),
        (_text_for_a_number, "eight"),
    ],
)
def test_ray_refuses_a_mistake(
    name: str,
    spoil: Callable[[Config], None],
    complaint: str,
    read: Callable[[str], Any],
    prepare: Callable[[Config], Config],
) -> None:
    config = read(name)
    spoil(config)
    with pytest.raises((ValueError, jsonschema.ValidationError), match=complaint):
        prepare(config)


def test_machines_of_ones_own_need_addresses(read: Callable[[str], Any], prepare: Callable[[Config], Config]) -> None:
    config = read("deploy/on_premise.yaml")
    del config["provider"]["head_ip"]
    with pytest.raises(click.ClickException):
        prepare(config)
