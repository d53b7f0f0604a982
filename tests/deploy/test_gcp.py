"""deploy/gcp.yaml against Google's own description of its API.

Source: the discovery document of Compute Engine v1 (`instances.insert`) that google-api-python-client carries.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from googleapiclient.discovery_cache import get_static_doc

from attn.engine.autoscaler import most_of

Config = dict[str, Any]
Document = dict[str, Any]

KINDS = {"boolean": bool, "string": str, "integer": int, "number": (int, float), "array": list, "object": dict}


@pytest.fixture(scope="module")
def schemas() -> Document:
    document = get_static_doc("compute", "v1")
    assert document is not None
    return json.loads(document)["schemas"]


def _complaints(value: Any, schema: Document, schemas: Document, where: str) -> list[str]:
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    # Numbers of 64 bits travel as texts; the API takes either.
    kinds = (str, int) if schema.get("format") in ("int64", "uint64") else KINDS[schema["type"]]
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        return [f"{where}: {value!r} is no {schema['type']}"]
    if isinstance(value, list):
        return [text for item in value for text in _complaints(item, schema["items"], schemas, where)]
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties")
        found = [f"{where}.{key}: unknown" for key in value if key not in known and not others]
        for key, item in value.items():
            if key in known or others:
                found += _complaints(item, known.get(key, others), schemas, f"{where}.{key}")
        return found
    return [f"{where}: {value}"] if "enum" in schema and value not in schema["enum"] else []


def _in_the_zone(config: Config) -> bool:
    provider = config["provider"]
    disks = [
        disk["initializeParams"]["diskType"]
        for node_type in config["available_node_types"].values()
        for disk in node_type["node_config"]["disks"]
    ]
    zone = provider["availability_zone"]
    return zone.startswith(provider["region"]) and all(disk.startswith(f"zones/{zone}/") for disk in disks)


@pytest.mark.parametrize("node_type", ["head", "gpu_worker"])
def test_compute_engine_knows_every_key_and_value(
    node_type: str, read: Callable[[str], Any], schemas: Document
) -> None:
    node_config = read("deploy/gcp.yaml")["available_node_types"][node_type]["node_config"]
    assert _complaints(node_config, {"$ref": "Instance"}, schemas, "instance") == []


@pytest.mark.parametrize(
    ("spoilt", "complaint"),
    [
        ({"machine_type": "g2-standard-16"}, "machine_type: unknown"),
        ({"scheduling": [{"preemptible": True}]}, "is no object"),
        ({"scheduling": {"provisioningModel": "SPORT"}}, "provisioningModel: SPORT"),
        ({"disks": [{"boot": "yes"}]}, "boot: 'yes' is no boolean"),
        ({"disks": [{"initializeParams": {"diskSizeGB": 200}}]}, "diskSizeGB: unknown"),
    ],
)
def test_a_mistake_in_a_node_config_is_noticed(
    spoilt: Config, complaint: str, read: Callable[[str], Any], schemas: Document
) -> None:
    node_config = read("deploy/gcp.yaml")["available_node_types"]["gpu_worker"]["node_config"] | spoilt
    (found,) = _complaints(node_config, {"$ref": "Instance"}, schemas, "instance")
    assert complaint in found


def test_ray_takes_them_for_machines(read: Callable[[str], Any]) -> None:
    from ray.autoscaler._private.gcp.config import get_node_type
    from ray.autoscaler._private.gcp.node import GCPNodeType

    for node_type in read("deploy/gcp.yaml")["available_node_types"].values():
        assert get_node_type(node_type["node_config"]) is GCPNodeType.COMPUTE
    with pytest.raises(ValueError, match="machineType"):
        get_node_type({})


def test_the_disks_are_in_the_zone_of_the_machines(read: Callable[[str], Any]) -> None:
    config = read("deploy/gcp.yaml")
    assert _in_the_zone(config)
    config["provider"]["availability_zone"] = "us-central1-b"
    assert not _in_the_zone(config)


def test_ray_is_told_of_the_gpu(read: Callable[[str], Any]) -> None:
    worker = read("deploy/gcp.yaml")["available_node_types"]["gpu_worker"]
    assert worker["node_config"]["machineType"] == f"g2-standard-{worker['resources']['CPU']}"
    assert worker["resources"]["GPU"] == 1


def test_a_job_on_the_empty_cluster_knows_what_may_come(
    read: Callable[[str], Any], prepare: Callable[[Config], Config]
) -> None:
    assert most_of(prepare(read("deploy/gcp.yaml"))) == {"CPU": 8 * 16, "GPU": 8}
