"""Videos that are rewritten, replaced or deleted while a run reads them.

A changed video gets the content of another video of a different length. The expected rows are thus known for both
versions, and a mixture of both is found as wrong or duplicate rows.
"""

import dataclasses
import io
import os
import random
import shutil
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from attn.schema import LABEL
from attn.storage.ledger import Ledger

from .left import Left
from .material import Material, relabelled
from .store_run import StoreRun

SHARD_VIDEOS = 4
MOST_DELAY_S = 0.1  # delay after a task starts a video: a change comes before, during or after reading
MOST_MORE_RUNS = 6
TIMEOUT_S = 900

Change = Callable[[Path, bytes], object]


def rewritten_in_place(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Videos are rewritten in place while a run reads them."""
    return _run_on_files(material, folder, Path.write_bytes, seed=seed, times=times)


def replaced_by_rename(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Videos are replaced by rename while a run reads them."""
    return _run_on_files(material, folder, _replace, seed=seed, times=times)


def vanished(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Videos are deleted while a run reads them, and others have taken their place before the next run."""
    return _run_on_files(material, folder, lambda path, _: path.unlink(), seed=seed, times=times)


def shard_replaced(material: Material, folder: Path, *, seed: int, times: int) -> Left:
    """Tars are replaced while a run reads their members; every member has new content afterwards."""
    chance = random.Random(seed)
    shards = folder / "shards"
    shards.mkdir(parents=True)
    names = sorted(material.rows)
    groups = [names[start : start + SHARD_VIDEOS] for start in range(0, len(names), SHARD_VIDEOS)]
    content = {name: _clip(material, name).read_bytes() for name in names}
    for number, group in enumerate(groups):
        _replace(shards / f"clips-{number:06}.tar", _tar({name: content[name] for name in group}))
    others: dict[str, str] = {}
    moments: list[tuple[Sequence[str], Callable[[], object]]] = []
    for number in chance.sample(range(len(groups)), min(times, len(groups))):
        others |= {name: _other(material, name, chance) for name in groups[number]}
        tar = _tar({name: content[others[name]] for name in groups[number]})
        path = shards / f"clips-{number:06}.tar"
        moments.append((groups[number], lambda path=path, tar=tar: _replace(path, tar)))
    there = dataclasses.replace(material, videos=str(shards))
    return _run(there, folder, others, moments, lambda: None, chance)


def _run_on_files(material: Material, folder: Path, change: Change, *, seed: int, times: int) -> Left:
    chance = random.Random(seed)
    videos = folder / "videos"
    shutil.copytree(material.videos, videos)
    victims = chance.sample(sorted(material.rows), min(times, len(material.rows)))
    others = {name: _other(material, name, chance) for name in victims}
    content = {name: _clip(material, other).read_bytes() for name, other in others.items()}
    moments: list[tuple[Sequence[str], Callable[[], object]]] = [
        ([name], lambda path=videos / f"{name}.avi", data=content[name]: change(path, data)) for name in victims
    ]

    def restore() -> None:
        for name in victims:
            if not (videos / f"{name}.avi").exists():
                _replace(videos / f"{name}.avi", content[name])

    return _run(dataclasses.replace(material, videos=str(videos)), folder, others, moments, restore, chance)


def _run(
    material: Material,
    folder: Path,
    others: dict[str, str],
    moments: list[tuple[Sequence[str], Callable[[], object]]],
    restore: Callable[[], object],
    chance: random.Random,
) -> Left:
    """Run the command until it is done.

    Args:
        material: input and expected rows.
        folder: folder of the store and the run's files.
        others: changed video → video whose content it has in the end.
        moments: changes, each with the videos that trigger it when a task starts one of them.
        restore: function to call after each run.
        chance: random generator.
    """
    run = StoreRun(material, str(folder / "store"), folder / "run", flags=("--max-failed-fraction", "0"))
    code, more = -1, MOST_MORE_RUNS
    while code and more:
        more -= 1
        with run.start() as job:
            while job.poll() is None:
                moments = _change(run, moments, chance)
                time.sleep(0.002)
            code = job.wait(TIMEOUT_S)
        restore()
    run.material = _as_it_stands(run, others)
    return run.ended()


def _change(
    run: StoreRun, moments: list[tuple[Sequence[str], Callable[[], object]]], chance: random.Random
) -> list[tuple[Sequence[str], Callable[[], object]]]:
    """Make the changes that were triggered, and return the others."""
    begun = [video for _, what, video in run.trace() if what == "decode"]
    for videos, change in moments:
        struck = [video for video in begun if video in videos]
        if struck:
            time.sleep(chance.random() * MOST_DELAY_S)
            change()
            run.note("changed", struck[-1])
    return [(videos, change) for videos, change in moments if set(begun).isdisjoint(videos)]


def _as_it_stands(run: StoreRun, others: dict[str, str]) -> Material:
    """Expected rows: those of the first version if a video was completed before its change, else of the second."""
    stands = Ledger.at(run.out).completed()
    rows = dict(run.material.rows)
    for name, other in others.items():
        if stands.get(name) != len(rows[name]["frame"]):
            rows[name] = relabelled(
                run.material.rows[other], rows[name][LABEL][0]
            )  # the label belongs to the name, not to the content
    return dataclasses.replace(run.material, rows=rows)


def _other(material: Material, name: str, chance: random.Random) -> str:
    """Return a random video of another length."""
    count = len(material.rows[name]["frame"])
    return chance.choice([each for each in sorted(material.rows) if len(material.rows[each]["frame"]) != count])


def _clip(material: Material, name: str) -> Path:
    return Path(material.videos, f"{name}.avi")


def _replace(path: Path, data: bytes) -> None:
    hidden = path.with_name(f".{path.name}.new")
    hidden.write_bytes(data)
    os.replace(hidden, path)


def _tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(f"{name}.avi")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


SCENARIOS = {
    "video rewritten in place": rewritten_in_place,
    "video replaced": replaced_by_rename,
    "video vanishes": vanished,
    "shard replaced": shard_replaced,
}
