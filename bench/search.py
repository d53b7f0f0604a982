#!/usr/bin/env python3
"""Benchmark of the hyperparameter search: trials per minute, relative to a shell loop over configurations.

The shell loop runs `train_energynet` once per configuration, sequentially. The search runs as many trials in parallel
as fit, on maps that are read once. Its scheduler also stops poor trials early, a larger share if there are more trials;
the second row is without the scheduler. Both use random settings of one search space, and equal store, split and number
of updates. The times include the start of Ray and writing the results.

Run it on the output of `make demo` with `python bench/search.py`, or give --store and --split.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEARCH, TRAIN = ROOT / "tune" / "search.py", ROOT / "jobs" / "train_energynet.py"
DEMO = "demo-out/small_cnn/seed0/split1/100"


def main() -> None:
    flags = parse()
    common = ["--store", flags.store, "--split", flags.split, "--updates", str(flags.updates)]
    print(f"{flags.store}, {flags.updates} updates")
    with tempfile.TemporaryDirectory(prefix="attn-bench-") as folder:
        rows = [search(Path(folder), common, scheduler, flags.trials) for scheduler in flags.schedulers]
        tried = Path(folder, flags.schedulers[0])
        shell_s = [shell(tried, common, number) for number in range(1, flags.shell + 1)]
    per_minute = 60 * len(shell_s) / sum(shell_s)
    print("\n | trials | stopped early | seconds | trials per minute | search / shell")
    for name, trials, stopped, seconds in rows:
        rate = 60 * trials / seconds
        print(f"{name} | {trials} | {stopped} | {seconds:.0f} | {rate:.2f} | {rate / per_minute:.1f}")
    print(f"shell | {len(shell_s)} | 0 | {sum(shell_s):.0f} | {per_minute:.2f} | 1")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default=f"{DEMO}/store", help="attention store")
    parser.add_argument("--split", default="demo-out/splits/split1-train-100-seed0.txt", help="list of training videos")
    parser.add_argument("--updates", type=int, default=20_000, help="number of updates of a training run")
    parser.add_argument("--trials", type=int, default=32, help="number of trials of each search")
    parser.add_argument("--schedulers", nargs="+", default=["asha", "none"], help="schedulers, one row each")
    parser.add_argument("--shell", type=int, default=4, help="number of configurations in the shell loop")
    flags = parser.parse_args()
    if not Path(flags.store).is_dir():
        sys.exit(f"{flags.store}: the store does not exist. Run `make demo` first, or give --store and --split.")
    return flags


def search(folder: Path, common: list[str], scheduler: str, trials: int) -> tuple[str, int, int, float]:
    """Run one search; returns its name, number of trials, number of stopped trials, and seconds."""
    out = folder / scheduler
    flags = ["--sampler", "random", "--scheduler", scheduler, "--trials", str(trials), "--out", str(out)]
    seconds = timed([sys.executable, str(SEARCH), *common, *flags])
    best = json.loads((out / "best.json").read_text())
    return f"search, {scheduler}", best["trials"], best["stopped_early"], seconds


def shell(tried: Path, common: list[str], number: int) -> float:
    """Seconds of one training run from the shell, with the settings of a trial."""
    record = json.loads((tried / "trials" / f"{number:04d}" / "trial.json").read_text())
    config = tried / f"{number}.json"
    config.write_text(json.dumps({"energynet": record["point"]}))
    flags = ["--config", str(config), "--holdout-fraction", "0.3", "--out", str(tried / f"shell{number}")]
    return timed([sys.executable, str(TRAIN), *common, *flags])


def timed(command: list[str]) -> float:
    """Seconds of a command, which must succeed."""
    started_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return time.monotonic() - started_s


if __name__ == "__main__":
    main()
