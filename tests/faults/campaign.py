"""Fault campaign: injects every kind of fault into runs and records the damage in faults.csv.

    python -m tests.faults.campaign [--out FOLDER] [--seed 0] [--only NAME …] [--share 1.0] [--resume]

faults.csv gets a row for each kind of fault as soon as its runs are complete. A kind that ends in an error is reported
and left out, and the campaign continues. The exit code is 1 if there was such an error, if rows were lost, duplicated
or wrong, if videos were done again or failed, or if a store was not finished.
"""

import argparse
import csv
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from .left import Left
from .material import Material, make_material
from .scenarios_inside import SCENARIOS as INSIDE
from .scenarios_outside import SCENARIOS as OUTSIDE
from .scenarios_outside import lacking
from .scenarios_training import SCENARIOS as TRAINING
from .store_run import CannotBeMadeHereError

SCENARIOS: dict[str, Callable[..., Left]] = INSIDE | OUTSIDE | TRAINING
USUAL_TIMES = 7
TIMES = {
    "task dies (decode)": 20,
    "actor dies (maps)": 16,
    "decoder killed": 16,
    "decoder crashes": 16,
    "out of memory": 4,
    "driver killed": 12,
    "head lost": 4,
}
CLIPS = 48
MOST_SAID = 200  # last characters of an error message, which may be a whole log
HARMS = ("lost", "doubled", "wrong", "redone", "failed", "unfinished")
FIELDS: tuple[str, ...] = (
    "fault",
    "times",
    *HARMS,
    "runs",
    "recovery_s",
    "longest_s",
    "wall_s",
    "commit",
)


def main() -> int:
    flags = _flags()
    flags.out.mkdir(parents=True, exist_ok=True)
    results = flags.out / "faults.csv"
    rows = _read(results) if flags.resume else []
    folder = Path(tempfile.mkdtemp(prefix="attn-faults-"))
    try:
        material = make_material(folder / "material", CLIPS, flags.seed)
        not_ended = _all(flags.only or list(SCENARIOS), material, folder, rows, flags)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not_ended:
        _say(f"ended in an error: {', '.join(not_ended)}")
    return int(bool(not_ended) or any(int(row[harm]) for row in rows for harm in HARMS))


def _all(
    names: Sequence[str], material: Material, folder: Path, rows: list[dict[str, str]], flags: argparse.Namespace
) -> list[str]:
    """Run all missing kinds of faults, add their rows, and return the names of those that ended in an error."""
    not_ended = []
    for place, name in enumerate(names):
        if any(row["fault"] == name for row in rows):
            continue
        here = folder / f"run{place}"
        try:
            rows.append(_run(name, material, here, flags))
        except CannotBeMadeHereError as error:
            _say(f"{name}: {error}")
        except Exception as error:  # the error of one scenario does not affect the others
            not_ended.append(name)
            here.mkdir(exist_ok=True)
            here.joinpath("error.txt").write_text(traceback.format_exc())
            _say(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[-MOST_SAID:]}; kept in {_keep(here)}")
        _write(flags.out / "faults.csv", rows)
    return not_ended


def _flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of faults.csv")
    parser.add_argument("--seed", type=int, default=0, help="seed for the videos and times of the faults")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, help="kinds of faults (default: all)")
    parser.add_argument("--share", type=float, default=1.0, help="share of the usual number of faults")
    parser.add_argument("--resume", action="store_true", help="skip kinds that are already in faults.csv")
    return parser.parse_args()


def _run(name: str, material: Material, folder: Path, flags: argparse.Namespace) -> dict[str, str]:
    if missing := lacking(name):
        raise CannotBeMadeHereError(missing)
    folder.mkdir()
    times = max(1, round(TIMES.get(name, USUAL_TIMES) * flags.share))
    started_s = time.monotonic()
    left = SCENARIOS[name](material, folder, seed=flags.seed, times=times)
    row = {
        "fault": name,
        "times": left.faults,
        "lost": left.lost,
        "doubled": left.doubled,
        "wrong": left.wrong,
        "redone": left.redone,
        "failed": left.failed,
        "unfinished": len(left.unfinished),
        "runs": left.runs,
        "recovery_s": round(statistics.median(left.recovery_s), 1) if left.recovery_s else "",
        "longest_s": round(max(left.recovery_s), 1) if left.recovery_s else "",
        "wall_s": round(time.monotonic() - started_s),
        "commit": _commit(),
    }
    _say(", ".join(f"{key}: {value}" for key, value in row.items()))
    if any(row[harm] for harm in HARMS):
        _say(f"  {'; '.join([*left.unfinished, f'kept in {_keep(folder)}'])}")
    return {key: str(value) for key, value in row.items()}


def _keep(folder: Path) -> Path:
    """Copy a scenario's folder to a place where it is not deleted."""
    kept = Path(tempfile.mkdtemp(prefix="attn-fault-"))
    shutil.copytree(folder, kept, dirs_exist_ok=True, symlinks=True, ignore_dangling_symlinks=True)
    return kept


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _commit() -> str:
    """Short hash of the current commit; empty outside a Git checkout."""
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _read(path: Path) -> list[dict[str, str]]:
    """Read the complete rows; rows of an older harness, which lack some kinds of damage, are measured again."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if all(row.get(harm) for harm in HARMS)]


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, FIELDS)
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
