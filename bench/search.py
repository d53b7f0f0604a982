#!/usr/bin/env python3
"""What does a search bring over training once per configuration from the shell? Trials a minute of both.

The shell starts `train_energynet` once for each configuration, one after the other, as a loop in a script would. The
search tries as many as fit side by side, on maps that are read once; its scheduler also stops those that are behind,
the more of them the more trials there are, and is left out in the second row. Random settings of the same space, the
same store, split and updates; the start of Ray and all that is written at the end are counted in.

On what `make demo` left: `python bench/search.py`, or with --store and --split.
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
    print("\n | trials | stopped early | seconds | trials a minute | search / shell")
    for name, trials, stopped, seconds in rows:
        rate = 60 * trials / seconds
        print(f"{name} | {trials} | {stopped} | {seconds:.0f} | {rate:.2f} | {rate / per_minute:.1f}")
    print(f"shell | {len(shell_s)} | 0 | {sum(shell_s):.0f} | {per_minute:.2f} | 1")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default=f"{DEMO}/store", help="attention store")
    parser.add_argument("--split", default="demo-out/splits/split1-train-100-seed0.txt", help="its training videos")
    parser.add_argument("--updates", type=int, default=20_000, help="of a training")
    parser.add_argument("--trials", type=int, default=32, help="of each search")
    parser.add_argument("--schedulers", nargs="+", default=["asha", "none"], help="a row for each")
    parser.add_argument("--shell", type=int, default=4, help="configurations trained from the shell")
    flags = parser.parse_args()
    if not Path(flags.store).is_dir():
        sys.exit(f"{flags.store} is not there; run `make demo` first, or give --store and --split")
    return flags


def search(folder: Path, common: list[str], scheduler: str, trials: int) -> tuple[str, int, int, float]:
    """Name, trials, those that were stopped, and seconds of one search."""
    out = folder / scheduler
    flags = ["--sampler", "random", "--scheduler", scheduler, "--trials", str(trials), "--out", str(out)]
    seconds = timed([sys.executable, str(SEARCH), *common, *flags])
    best = json.loads((out / "best.json").read_text())
    return f"search, {scheduler}", best["trials"], best["stopped_early"], seconds


def shell(tried: Path, common: list[str], number: int) -> float:
    """Seconds of one training from the shell, with the settings of a trial."""
    record = json.loads((tried / "trials" / f"{number:04d}" / "trial.json").read_text())
    config = tried / f"{number}.json"
    config.write_text(json.dumps({"energynet": record["point"]}))
    flags = ["--config", str(config), "--holdout-fraction", "0.3", "--out", str(tried / f"shell{number}")]
    return timed([sys.executable, str(TRAIN), *common, *flags])


def timed(command: list[str]) -> float:
    """Seconds of a command that must end well."""
    started_s = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return time.monotonic() - started_s


if __name__ == "__main__":
    main()
