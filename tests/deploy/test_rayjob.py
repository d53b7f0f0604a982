"""deploy/rayjob.yaml against the names and kinds of KubeRay's API, and its command line against the script's flags.

Source: rayjob.schema.yaml beside this file, which says where its names are from.
"""

import importlib
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attn.engine.autoscaler import VARIABLE, parse_most

Config = dict[str, Any]

JOB = "deploy/rayjob.yaml"
SCHEMA = "tests/deploy/rayjob.schema.yaml"


def _pods(job: Config) -> list[Config]:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def _ray_version(root: Path) -> str:
    (version,) = re.findall(r"^ray==([\d.]+)$", (root / "constraints.txt").read_text(), re.MULTILINE)
    return version


def _fitting(cluster: Config) -> bool:
    return all(
        group["minReplicas"] <= group.get("replicas", 0) <= group["maxReplicas"]
        for group in cluster["workerGroupSpecs"]
    )


def _parse(words: list[str], root: Path) -> object:
    """What a script of the project makes of its command line."""
    from attn.commands.cli import parse

    text = (root / words[0]).read_text()
    (options,) = re.findall(r"parse\((\w+), __doc__\)", text)
    (module,) = re.findall(rf"from (\S+) import {options}", text)
    return parse(getattr(importlib.import_module(module), options), None, words[1:])


def _entrypoint(job: Config, root: Path) -> list[str]:
    """The command line as it is in the project's folder, which the image has as its working folder."""
    (folder,) = re.findall(r"^WORKDIR (\S+)$", (root / "deploy/Dockerfile").read_text(), re.MULTILINE)
    python, script, *flags = shlex.split(job["spec"]["entrypoint"])
    assert python == "python"
    return [str(Path(script).relative_to(folder)), *flags]


def test_kuberay_knows_every_key_and_value(read: Callable[[str], Any]) -> None:
    jsonschema.validate(read(JOB), read(SCHEMA))


def _old_api(job: Config) -> None:
    job["apiVersion"] = "ray.io/v1alpha1"


def _misspell(job: Config) -> None:
    job["spec"]["shutdownAfterJobFinish"] = job["spec"].pop("shutdownAfterJobFinishes")


def _strange_quantity(job: Config) -> None:
    _pods(job)[1]["containers"][0]["resources"]["limits"]["memory"] = "48GiB"


def _no_name(job: Config) -> None:
    del _pods(job)[0]["containers"][0]["name"]


def _image_without_a_tag(job: Config) -> None:
    _pods(job)[0]["containers"][0]["image"] = "registry.example.com/attn"


def _number_for_text(job: Config) -> None:
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0


def _strange_mode(job: Config) -> None:
    job["spec"]["rayClusterSpec"]["authOptions"]["mode"] = "tokens"


@pytest.mark.parametrize(
    "spoil",
    [_old_api, _misspell, _strange_quantity, _no_name, _image_without_a_tag, _number_for_text, _strange_mode],
)
def test_a_mistake_is_noticed(spoil: Callable[[Config], None], read: Callable[[str], Any]) -> None:
    job = read(JOB)
    spoil(job)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, read(SCHEMA))


def test_one_version_of_ray_everywhere(read: Callable[[str], Any], root: Path) -> None:
    job, version = read(JOB), _ray_version(root)
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == version
    assert {container["image"].rpartition(":")[2] for pod in _pods(job) for container in pod["containers"]} == {version}
    (base,) = re.findall(r"^FROM rayproject/ray:(\S+)$", (root / "deploy/Dockerfile").read_text(), re.MULTILINE)
    (python,) = re.findall(r"--python (\d)\.(\d+)", "\n".join(read("cluster.yaml")["setup_commands"]))
    assert base == f"{version}-py{''.join(python)}-gpu"


def test_the_image_has_what_it_copies(root: Path) -> None:
    dockerfile, sent = (root / "deploy/Dockerfile").read_text(), (root / "deploy/Dockerfile.dockerignore").read_text()
    copied = [name for line in re.findall(r"^COPY (.*)$", dockerfile, re.MULTILINE) for name in line.split()[1:-1]]
    assert {"pyproject.toml", "constraints.txt", "attn", "jobs"} <= set(copied)
    assert all((root / name).exists() for name in copied)
    assert {line[1:] for line in sent.splitlines() if line.startswith("!")} == set(copied)


def test_a_token_is_wanted_and_workers_come_and_go(read: Callable[[str], Any]) -> None:
    cluster = read(JOB)["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["enableInTreeAutoscaling"]
    assert _fitting(cluster)
    assert [group["minReplicas"] for group in cluster["workerGroupSpecs"]] == [0]
    cluster["workerGroupSpecs"][0]["replicas"] = 9
    assert not _fitting(cluster)


def test_a_failure_is_not_paid_for_again(read: Callable[[str], Any]) -> None:
    """KubeRay would start another cluster after any exit code: also after that of a wrong flag."""
    assert read(JOB)["spec"]["backoffLimit"] == 0


def test_the_script_takes_the_command_line(read: Callable[[str], Any], root: Path) -> None:
    words = _entrypoint(read(JOB), root)
    _parse(words, root)
    with pytest.raises(SystemExit):
        _parse([*words, "--video", "s3://my-bucket"], root)
    with pytest.raises(FileNotFoundError):
        _parse(["jobs/precompute_maps.py"], root)


def test_the_actors_fit_the_pods(read: Callable[[str], Any], root: Path) -> None:
    job = read(JOB)
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    options: Any = _parse(_entrypoint(job, root), root)
    assert options.gpus_per_actor == 1
    assert options.actors == (1, group["maxReplicas"])
    (worker,) = group["template"]["spec"]["containers"]
    (head,) = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    (told,) = (one["value"] for one in head["env"] if one["name"] == VARIABLE)
    limits = worker["resources"]["limits"]
    most = {"CPU": float(limits["cpu"]), "GPU": float(limits["nvidia.com/gpu"])}
    assert parse_most(told) == {name: group["maxReplicas"] * each for name, each in most.items()}


DOCS = ("docs/clusters.md", "README.md")


@pytest.mark.parametrize("name", DOCS)
def test_the_scripts_take_the_command_lines_of_the_documents(name: str, root: Path) -> None:
    text = (root / name).read_text().replace("\\\n", " ")
    lines = re.findall(r"^.*ray job submit .*-- (python jobs/.*)$", text, re.MULTILINE)
    assert lines
    for line in lines:
        words = shlex.split(line.partition(" #")[0])[1:]
        if "…" not in words:
            _parse(words, root)
