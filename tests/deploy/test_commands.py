"""What the nodes run: installed from the project's own constraints, at one version of Ray, behind a token."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

Config = dict[str, Any]

FILES = ("cluster.yaml", "deploy/gcp.yaml", "deploy/on_premise.yaml")
COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


def _commands(config: Config) -> list[str]:
    return [command for key in COMMANDS for command in config.get(key, [])]


def _installs(config: Config) -> list[list[str]]:
    return [shlex.split(command) for command in _commands(config) if command.startswith("uv pip install")]


def _missing(config: Config, root: Path) -> list[str]:
    """Files that a mount or a command names and that no one has."""
    local = [path for path in config["file_mounts"].values() if not path.startswith("~")]
    named = {path for command in _commands(config) for path in re.findall(r"~/attn/[\w.-]+", command)}
    made = {"~/attn/.venv"}
    return [path for path in local if not (root / path).is_file()] + sorted(named - made - set(config["file_mounts"]))


def _unprotected(config: Config) -> list[str]:
    """What lets a caller in who has no token, or a stranger to the dashboard."""
    starts = [command for command in _commands(config) if "ray start" in command]
    open_doors = [command for command in starts if "RAY_AUTH_MODE=token ray start" not in command]
    open_doors += [command for command in starts if "--dashboard-host" in command]
    if config["file_mounts"].get("~/.ray/auth_token") != "~/.ray/auth_token":
        open_doors.append("no token on the nodes")
    return open_doors if starts else ["no ray start"]


def _accepts(version: str, wanted: str) -> bool:
    number = tuple(map(int, version.split(".")))
    low, high = (tuple(map(int, bound.split("."))) for bound in re.findall(r"[\d.]+", wanted))
    return low <= number < high


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_is_named_is_there(name: str, read: Callable[[str], Any], root: Path) -> None:
    assert _missing(read(name), root) == []


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_there_is_noticed(name: str, read: Callable[[str], Any], root: Path) -> None:
    config = read(name)
    config["setup_commands"].append("uv pip install --requirement ~/attn/requirements.txt")
    config["file_mounts"]["~/attn/setup.sh"] = "deploy/setup.sh"
    assert _missing(config, root) == ["deploy/setup.sh", "~/attn/requirements.txt"]


@pytest.mark.parametrize("name", FILES)
def test_commands_are_shell(name: str, read: Callable[[str], Any]) -> None:
    for command in _commands(read(name)):
        subprocess.run(["bash", "-n", "-c", command], check=True, capture_output=True)
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(["bash", "-n", "-c", "command -v uv || (curl"], check=True, capture_output=True)


@pytest.mark.parametrize("name", FILES)
def test_all_packages_come_from_the_constraints(name: str, read: Callable[[str], Any], root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    installs = _installs(read(name))
    assert any("~/attn/pyproject.toml" in words for words in installs)
    for words in installs:
        assert words[words.index("--constraint") + 1] == "~/attn/constraints.txt"
        assert not [word for word in words if "==" in word], "a version of its own would drift away"
        extras = [words[index + 1] for index, word in enumerate(words) if word == "--extra"]
        assert set(extras) <= set(project["optional-dependencies"])


def test_the_constraints_hold_the_ray_that_the_project_asks_for(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    (wanted,) = [line for line in project["dependencies"] if line.startswith("ray[")]
    (version,) = re.findall(r"^ray==([\d.]+)$", (root / "constraints.txt").read_text(), re.MULTILINE)
    assert _accepts(version, wanted.partition("]")[2])
    assert not _accepts("2.61.0", ">=2.60,<2.61")


@pytest.mark.parametrize("name", FILES)
def test_the_nodes_have_a_python_the_project_runs_on(name: str, read: Callable[[str], Any], root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    (python,) = re.findall(r"uv venv .*--python ([\d.]+)", "\n".join(_commands(read(name))))
    assert _accepts(python, project["requires-python"])
    assert not _accepts("3.10", project["requires-python"])


@pytest.mark.parametrize("name", FILES)
def test_no_one_is_let_in_without_the_token(name: str, read: Callable[[str], Any]) -> None:
    assert _unprotected(read(name)) == []


@pytest.mark.parametrize("name", FILES)
def test_an_open_door_is_noticed(name: str, read: Callable[[str], Any]) -> None:
    config = read(name)
    config["worker_start_ray_commands"] = ["ray start --address=$RAY_HEAD_IP:6379"]
    config["head_start_ray_commands"][-1] += " --dashboard-host=0.0.0.0"
    del config["file_mounts"]["~/.ray/auth_token"]
    assert len(_unprotected(config)) == 3


def _start_flags(command: str) -> list[str]:
    return shlex.split(command.partition("ray start ")[2])


@pytest.mark.parametrize("name", FILES)
def test_ray_start_knows_the_flags(name: str, read: Callable[[str], Any]) -> None:
    from ray.scripts.scripts import start

    starts = [command for command in _commands(read(name)) if "ray start" in command]
    assert len(starts) == 2
    for command in starts:
        start.make_context("start", _start_flags(command))
    with pytest.raises(click.UsageError, match="autoscaling-confg"):
        start.make_context("start", _start_flags("ray start --head --autoscaling-confg=~/x"))


@pytest.mark.parametrize("name", FILES)
def test_workers_may_use_more_than_one_thread(name: str, read: Callable[[str], Any]) -> None:
    starts = [command for command in _commands(read(name)) if "ray start" in command]
    assert all(command.startswith("unset OMP_NUM_THREADS;") for command in starts)


def test_only_what_must_differ_differs(read: Callable[[str], Any]) -> None:
    aws, *others = [read(name) for name in FILES]
    for config in others:
        for key in (*COMMANDS, "file_mounts"):
            if key != "head_setup_commands":
                assert str(config.get(key)).replace("RAY_enable_autoscaler_v2=0 ", "") == str(aws.get(key)), key


def test_machines_of_ones_own_have_the_autoscaler_that_starts_them(read: Callable[[str], Any]) -> None:
    """`ray up` puts its own choice before the command; what stands in the command wins."""
    start = read("deploy/on_premise.yaml")["head_start_ray_commands"][-1]
    command = "export RAY_enable_autoscaler_v2=1; " + start.replace("ray start", "env ; true")
    said = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True).stdout
    assert "RAY_enable_autoscaler_v2=0" in said.splitlines()


@pytest.mark.parametrize("name", ["README.md", "docs/clusters.md", "deploy/try_on_loopback.sh"])
def test_the_tunnel_leaves_the_terminal_to_the_shell(name: str, root: Path) -> None:
    """Behind it is `ssh -tt`, which else reads what is typed at the shell that started it."""
    tunnels = re.findall(r"^ *ray dashboard .*$", (root / name).read_text(), re.MULTILINE)
    assert tunnels
    assert [line for line in tunnels if not re.search(r" < /dev/null .*&( |$)", line)] == []


@pytest.mark.parametrize(
    ("name", "section"),
    [
        *((name, "") for name in (*FILES, "deploy/rayjob.yaml")),
        ("README.md", "## On a cluster"),
        ("docs/clusters.md", "## Kubernetes"),
    ],
)
def test_who_brings_the_gpus_is_told_of_their_driver(name: str, section: str, root: Path) -> None:
    """CUDA 13 runs from 580 on (its release notes), and no installation of packages brings a driver."""
    constraints = (root / "constraints.txt").read_text()
    assert re.findall(r"^nvidia-cuda-runtime==(\d+)\.", constraints, re.MULTILINE) == ["13"]
    text = (root / name).read_text()
    if section:
        text = text.partition(f"\n{section}\n")[2].partition("\n#")[0]
    assert "580 or newer" in text
