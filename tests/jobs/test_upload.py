"""`ray job submit --working-dir .` uploads the code, but no data or results made or downloaded as in the README."""

import shutil
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
MADE = (
    ".git/objects/pack/a.pack",
    ".venv/lib/python3.11/site-packages/torch/a.so",
    "GoogleNews-vectors.bin",
    "GoogleNews-vectors-negative300.bin.gz",
    "glove.6B.zip",
    "glove.6B.300d.txt",
    "wiki-news-300d-1M.vec",
    "resnet50-11ad3fa6.pth",
    "tuned.pt",
    "UCF101.tar",
    "cnn.safetensors",
    "cnn.train/run.json",
    "demo-out/store/part-0.parquet",
    "results/scores.parquet",
    "synthetic-tables/data/images/Wave/a.jpg",
    "tuned-store/part-0.parquet",
    "energynet/energynet.safetensors",
    "best-energynet/energynet.safetensors",
    "search/trials/0001/trial.json",
    "shards/a-000000.tar",
    "store/part-0.parquet",
    "ucfTrainTestlist/testlist01.txt",
    "videos/Wave/a.avi",
    "web/Wave/a.jpg",
)
WANTED = (
    ".rayignore",
    "constraints.txt",
    "pyproject.toml",
    "cluster.yaml",
    "deploy/rayjob.yaml",
    "deploy/aws/trust.json",
)
OWN = ("classes.txt", "labels.csv", "settings.json")  # small files that a user may give to a job


def test_the_upload_is_the_code(tmp_path: Path) -> None:
    packaging = pytest.importorskip("ray._private.runtime_env.packaging")
    folders = [REPOSITORY / name for name in ("attn", "bench", "jobs", "tests", "tune")]
    code = [str(path.relative_to(REPOSITORY)) for folder in folders for path in folder.rglob("*.py")] + list(WANTED)
    for name in code:
        (tmp_path / "repository" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, tmp_path / "repository" / name)
    for name in (*MADE, *OWN):
        (tmp_path / "repository" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "repository" / name).write_text("large")
    package = tmp_path / "package.zip"
    packaging.create_package(str(tmp_path / "repository"), package, include_gitignore=True)
    with zipfile.ZipFile(package) as archive:
        assert {name for name in archive.namelist() if not name.endswith("/")} == {*code, *OWN}
