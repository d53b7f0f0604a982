"""cluster.yaml against AWS' own description of its API, and started against an EC2 that exists in this process only.

Source: the model of RunInstances in botocore, and moto, which answers as EC2 and IAM do.
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from attn.engine.autoscaler import most_of

Config = dict[str, Any]

# What Ray takes out of a node_config before it asks EC2, which wants one subnet.
RAYS_OWN = {"SubnetIds"}
REGION = "us-west-2"


@pytest.fixture(scope="module")
def run_instances() -> Any:
    loader = botocore.session.get_session().get_component("data_loader")
    model = ServiceModel(loader.load_service_model("ec2", "service-2"))
    return model.operation_model("RunInstances").input_shape


def _strange_values(value: Any, shape: Any, where: str) -> list[str]:
    """Texts that are none of those AWS lists: botocore's own check leaves that to the server."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return [
            strange
            for key, item in value.items()
            if key in shape.members
            for strange in _strange_values(item, shape.members[key], f"{where}.{key}")
        ]
    if shape.type_name == "list" and isinstance(value, list):
        return [strange for item in value for strange in _strange_values(item, shape.member, where)]
    known = shape.enum if shape.type_name == "string" else []
    return [f"{where}: {value}"] if known and value not in known else []


def _complaints(node_config: Config, run_instances: Any) -> str:
    asked = {key: value for key, value in node_config.items() if key not in RAYS_OWN} | {"MinCount": 1, "MaxCount": 1}
    report = ParamValidator().validate(asked, run_instances)
    return "\n".join([report.generate_report(), *_strange_values(asked, run_instances, "RunInstances")]).strip()


@pytest.mark.parametrize("node_type", ["head", "gpu_worker"])
def test_ec2_knows_every_key_and_value(node_type: str, read: Callable[[str], Any], run_instances: Any) -> None:
    node_config = read("cluster.yaml")["available_node_types"][node_type]["node_config"]
    assert _complaints(node_config, run_instances) == ""


@pytest.mark.parametrize(
    ("spoilt", "complaint"),
    [
        ({"InstanceTyp": "g6.4xlarge"}, "InstanceTyp"),
        ({"InstanceType": "g6.5xlarge"}, "g6.5xlarge"),
        ({"IamInstanceProfile": {"name": "attn-worker"}}, 'in IamInstanceProfile: "name"'),
        ({"InstanceMarketOptions": {"MarketType": "sport"}}, "MarketType: sport"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": "200"}}]}, "VolumeSize"),
        ({"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeType": "gp4"}}]}, "VolumeType: gp4"),
    ],
)
def test_a_mistake_in_a_node_config_is_noticed(
    spoilt: Config, complaint: str, read: Callable[[str], Any], run_instances: Any
) -> None:
    node_config = read("cluster.yaml")["available_node_types"]["gpu_worker"]["node_config"] | spoilt
    assert complaint in _complaints(node_config, run_instances)


def test_ray_itself_does_not_notice(read: Callable[[str], Any], prepare: Callable[[Config], Config]) -> None:
    config = read("cluster.yaml")
    config["available_node_types"]["gpu_worker"]["node_config"]["InstanceTyp"] = "g6.4xlarge"
    prepare(config)


def _policy(name: str) -> str:
    return (Path("deploy/aws") / f"{name}.json").read_text()


def _actions(name: str) -> list[str]:
    listed = [statement["Action"] for statement in json.loads(_policy(name))["Statement"]]
    return [action for actions in listed for action in ([actions] if isinstance(actions, str) else actions)]


def test_the_head_may_do_what_aws_has(read: Callable[[str], Any]) -> None:
    session: Any = botocore.session.get_session()
    for service in ("ec2", "ssm"):
        allowed = {action.partition(":")[2] for action in _actions("machines") if action.startswith(f"{service}:")}
        assert allowed
        assert allowed <= set(session.get_service_model(service).operation_names)
    worker = read("cluster.yaml")["available_node_types"]["gpu_worker"]["node_config"]["IamInstanceProfile"]["Name"]
    assert f'role/{worker}"' in _policy("machines"), "the head must be allowed to hand its workers their role"


@pytest.fixture
def ec2(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An account without anything but the two roles; Ray's key pair goes to a home of its own."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing-secret",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    iam = boto3.client("iam", region_name=REGION)
    for role, policies in {"attn-head": ("bucket", "machines"), "attn-worker": ("bucket",)}.items():
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=_policy("trust"))
        for policy in policies:
            iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=_policy(policy))
        iam.create_instance_profile(InstanceProfileName=role)
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    return boto3.resource("ec2", region_name=REGION)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the libraries below Ray and moto
def test_ray_starts_the_machines(ec2: Any, read: Callable[[str], Any], prepare: Callable[[Config], Config]) -> None:
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    config = AWSNodeProvider.fillout_available_node_types_resources(prepare(read("cluster.yaml")))
    config = AWSNodeProvider.bootstrap_config(config)
    worker = config["available_node_types"]["gpu_worker"]["resources"]
    assert (worker["CPU"], worker["GPU"]) == (16, 1)
    assert most_of(config) == {"CPU": 8 * 16, "GPU": 8}, "what a job on the empty cluster counts on"
    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    for name, node_type in config["available_node_types"].items():
        provider.create_node(node_type["node_config"], {"ray-user-node-type": name}, 1)
    started = {instance.instance_type: instance for instance in ec2.instances.all()}
    assert {name: instance.instance_lifecycle for name, instance in started.items()} == {
        "m7i.xlarge": None,
        "g6.4xlarge": "spot",
    }
    profiles = [instance.iam_instance_profile["Arn"].rpartition("/")[2] for instance in started.values()]
    assert sorted(profiles) == ["attn-head", "attn-worker"]
    (group,) = {group["GroupName"] for instance in started.values() for group in instance.security_groups}
    open_ports = {
        rule.get("FromPort")
        for security_group in ec2.security_groups.filter(GroupNames=[group])
        for rule in security_group.ip_permissions
        if rule["IpRanges"]
    }
    assert open_ports == {22}, "the world reaches SSH and nothing else"
