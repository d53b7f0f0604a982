"""Checkpoints of two workers: the first one writes, and both restore the same checkpoint or raise the same error."""

import datetime
import json
import shutil
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from attn.errors import UsageError
from attn.training.checkpoints import CheckpointFolder, GroupCheckpoints
from attn.training.group import Group

PATIENCE_S = 60  # for a worker that never answers


def saver(text):
    return lambda: iter([("state.json", text.encode())])


def test_both_go_on_from_the_same_state_or_end_together(tmp_path):
    for name in ("good", "damaged", "all damaged"):
        checkpoints = CheckpointFolder(str(tmp_path / name), every_s=0)
        checkpoints.save(1, {}, saver("1"))
        checkpoints.save(2, {}, saver("2"))
        first, last = sorted((tmp_path / name).iterdir())
        for folder in {"good": [], "damaged": [last], "all damaged": [first, last]}[name]:
            (folder / "state.json").write_text("")
    shutil.copytree(tmp_path / "good", tmp_path / "a copy")
    for state in (tmp_path / "a copy").iterdir():
        state.rename(state.with_name(f"{state.name[:-1]}x"))
    (tmp_path / "file").write_text("where a folder is needed")
    mp.spawn(process, (tmp_path,), nprocs=2)
    one, other = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert one == other
    assert one["good"] == ["2", 0]
    assert one["damaged"] == ["1", 1]
    assert "No other checkpoint is left to resume from" in one["all damaged"]
    assert "--out: the machines do not see the same checkpoint" in one["another disk"]
    assert str(tmp_path / "file") in one["no folder"]
    assert one["nothing"] == [None, 0]
    assert one["kept"] == ["3", 0]


def process(rank: int, folder: Path) -> None:
    """Run all cases in one process, so that a collective call too few breaks the next case."""
    torch.set_num_threads(1)
    address, patience = f"file://{folder}/address", datetime.timedelta(seconds=PATIENCE_S)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2, timeout=patience)
    group = Group(rank, rank, 2, 2, torch.device("cpu"))

    def checkpoints(name):
        return GroupCheckpoints(CheckpointFolder(str(folder / name), every_s=0), group, lambda row: None)

    def restored(name):
        one = checkpoints(name)
        try:
            files = one.restore()
        except UsageError as error:
            return str(error)
        return files and files["state.json"].decode(), len(one.damaged)

    said = {name: restored(name) for name in ("good", "damaged", "all damaged", "nothing")}
    said["another disk"] = restored("a copy" if rank else "good")
    with pytest.raises(UsageError) as refused:
        checkpoints("file" if rank == 0 else "good").save(3, {}, saver("3"))
    said["no folder"] = str(refused.value)
    checkpoints("good").save(3, {}, saver("3"))
    said["kept"] = restored("good")
    (folder / f"{rank}.json").write_text(json.dumps(said))
    dist.destroy_process_group()
