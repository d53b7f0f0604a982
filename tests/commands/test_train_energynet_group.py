"""Training of an EnergyNet with two workers, one of which has an error: both end with its message."""

import dataclasses
import datetime
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import ray.train
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from attn.commands.train_energynet import train_energynet
from attn.commands.train_energynet_plan import make_energy_training
from attn.engine.train import driver
from attn.engine.train import run_trainer as fit
from attn.engine.train.worker import train_worker
from attn.errors import UsageError
from attn.storage.store import AttentionStore
from attn.training.energynet_job import EnergyJob
from attn.training.energynet_maps import _read
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.group import Group

SHARED = 1e-6  # GB for maps: too few for all maps, so that each worker reads only its share
PATIENCE_S = 60  # for a worker that never answers


@pytest.fixture
def options(planted: Path, tmp_path: Path) -> TrainEnergyNetOptions:
    return TrainEnergyNetOptions(
        store=str(planted / "store"),
        split=str(planted / "train.txt"),
        out=str(tmp_path / "energynet"),
        workers=2,
        updates=40,
        look_every=40,
        candidates_initial=32,
        candidates_final=64,
        num_hard=16,
        holdout_fraction=0.25,
    )


@pytest.fixture
def broken_for_second(
    options: TrainEnergyNetOptions, tmp_path: Path, write_store: Callable[..., str]
) -> tuple[str, str]:
    """URL of a store with NaN only in the second worker's share, and the ID of the video."""
    job = job_of(options)
    (first, _), (second, _) = (job.train.share(worker, 2) for worker in range(2))
    video_id = second.video_ids[len(second.video_ids) // 2]
    assert video_id not in {*first.video_ids, *job.held_out.video_ids}
    store = AttentionStore.open(options.store)
    videos = {rows.video_id: dict(rows.tensors) for rows in store.videos(store.manifest.columns)}
    videos[video_id]["maps"] = maps = videos[video_id]["maps"].copy()
    maps[1, 2, 3, 0] = np.nan
    return write_store(str(tmp_path / "broken"), store.manifest, videos), video_id


def job_of(options: TrainEnergyNetOptions) -> EnergyJob:
    return make_energy_training(options)[1]


def test_workers_read_their_maps_or_refuse_together(
    options: TrainEnergyNetOptions, broken_for_second: tuple[str, str], tmp_path: Path
) -> None:
    broken, video_id = broken_for_second
    for name in ("gone", "torn"):
        shutil.copytree(options.store, tmp_path / name)
    gone, torn, nan = (
        job_of(dataclasses.replace(options, store=store))
        for store in (str(tmp_path / "gone"), str(tmp_path / "torn"), broken)
    )
    shutil.rmtree(tmp_path / "gone")
    part = min((tmp_path / "torn").glob("part-*"))
    part.unlink()
    part.symlink_to(tmp_path / "disk that is not mounted")
    run, good, _ = make_energy_training(options)
    run.begin({})
    shared = job_of(dataclasses.replace(options, store=broken, map_memory_gb=SHARED))
    refused = rf"maps of {video_id}, frame 5, contain NaN or infinity\. Precompute"
    cases: Mapping[str, tuple[EnergyJob, EnergyJob, str | None]] = {
        "the run": (
            good,
            dataclasses.replace(good, run_url=str(tmp_path / "no")),
            "not visible on all machines.*--out",
        ),
        "the store": (good, gone, r"gone: no attention store here"),
        "a part": (good, torn, rf"^{re.escape(str(part))}: does not exist. Check the path.$"),
        "its copy of the maps": (good, nan, refused),
        "its share of the maps": (shared, shared, refused),
        "nothing": (good, good, None),
        "nothing of its share": (shared_good := dataclasses.replace(good, options=shared.options), shared_good, None),
    }
    mp.spawn(process, (tmp_path, {name: jobs[:2] for name, jobs in cases.items()}), nprocs=2)
    said = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    for name, (*_, line) in cases.items():
        (has, first), other = (worker[name] for worker in said)
        assert [has, first] == other, name
        assert has == (line is None), name
        assert first is None if line is None else re.search(line, first), name


def process(rank: int, folder: Path, cases: Mapping[str, tuple[EnergyJob, EnergyJob]]) -> None:
    """Run all cases in one process, so that a collective call too few breaks the next case."""
    torch.set_num_threads(1)
    address, patience = f"file://{folder}/address", datetime.timedelta(seconds=PATIENCE_S)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=patience)
    said = {}
    for name, jobs in cases.items():
        found, refusal = _read(jobs[rank], Group(rank, rank, 2, 2, torch.device("cpu")))
        said[name] = found is not None, refusal
    (folder / f"{rank}.json").write_text(json.dumps(said))
    dist.destroy_process_group()


@pytest.mark.long
def test_a_share_that_one_worker_cannot_use_ends_both_with_its_line(
    ray_local,
    options: TrainEnergyNetOptions,
    broken_for_second: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = tmp_path / "said"
    said.mkdir()

    def worker(config):
        word = train_worker(config)
        (said / str(ray.train.get_context().get_world_rank())).write_text(str(word))
        return word

    monkeypatch.setattr(driver, "train_worker", worker)
    monkeypatch.setattr(fit, "GROUP_TIMEOUT_S", PATIENCE_S)
    monkeypatch.setattr(fit, "MOST_FAILURES", 0)
    broken, video_id = broken_for_second
    with pytest.raises(UsageError, match=f"maps of {video_id}, frame 5, contain NaN") as refused:
        train_energynet(dataclasses.replace(options, store=broken, map_memory_gb=SHARED))
    assert [(said / str(rank)).read_text() for rank in range(2)] == [str(refused.value)] * 2
    assert "\n" not in str(refused.value)
    assert not Path(options.out).exists() or not list(Path(options.out).iterdir())
