"""Write docs/results/faults.md from the results of the fault campaign, the fuzzing and the decoding benchmark.

python -m tests.faults.report [--results docs/results] [--fuzz fuzz.json] [--guard guard.txt]
"""

import argparse
import collections
import csv
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .campaign import CLIPS, HARMS, SCENARIOS

OUTCOMES = ("complete", "truncated", "failed", "timeout", "crashed")
COLUMNS = {
    "times": "times",
    "lost": "rows lost",
    "doubled": "rows doubled",
    "wrong": "rows wrong",
    "redone": "videos redone",
    "failed": "videos failed",
    "unfinished": "not finished",
    "runs": "commands",
    "recovery_s": "s to recover, median",
    "longest_s": "longest",
}
HEAD = """# Faults: nothing lost, nothing twice

`make faults` makes this page: faults.csv (`python -m tests.faults.campaign`), the fuzzing (`make fuzz`) and the
price of the guard (`bench/decode.py`), here on {machine}; faults at the commits {commits}.

## What was broken

{clips} clips, 1 MB a part, `jobs/precompute.py` as a user runs it, with a Ray of its own or a cluster of three
machines; the same command again and again until it ends with 0, and then once more. A seed decides which videos and
moments are met. Afterwards every row of every part is read and compared, in all its columns, with what the stages
compute one after the other: *lost* are rows that are not there, *doubled* those there more than once or of no frame
that was to be kept, *wrong* those with another time, label, count of frames or sign of a cut end, or with numbers of
the CNN that differ by more than 0.2 % plus 1e-4. *Redone* are videos begun again although they stood in a completed
part, and all that the command began when it was given once more; what is under way and in no completed part (a
writer's open part, `--part-mb`) is done again by design. *Commands* is how often the command was given until then.
*Not finished* counts what is wrong with a store as a whole: a last command that ended with anything but 0,
`_SUCCESS.json` missing or in disagreement with the parts, and what `jobs/verify.py --deep` would repair.

*Recovery* is the time from a fault until a writer has the whole video that it struck, or the first of several, with
the start of Ray where that was needed. What strikes a driver, a machine, a disk, a clock or a request to S3 strikes no
video that the harness could name: there it is the time until the next video, whichever that is, which after a request
says little. Where no writer gets it after the fault, as when it stands in a part already, it is the time until all
was done, or until the command given once more had ended where the fault met that.

The trainings are `jobs/train_energynet.py` on planted maps, beside one that no one breaks: *lost* are looks at the
held-out videos that its metrics lack, *doubled* those that its log tells of again although the state that it went on
from stood behind them, *wrong* tensors of the network that differ by more than 1e-6, *redone* looks made again although
a good state was kept after them. *Recovery* is the time until one look more is told than before the fault.

"""
BY_DESIGN = """
{times} faults: {lost} rows lost, {doubled} doubled, {wrong} wrong, {redone} videos redone beyond those under way,
{failed} failed; {unfinished} things that make a store unfinished.

## What is not survived, by design

* A storage that loses or changes what it has confirmed. `jobs/verify.py --deep` finds it, `--repair` and the same
  command mend it.
* A video that is not finished in three tries of one run (its worker, its decoder or its storage failed each time)
  is a row of `failures/`, not of the store; the same command tries it again.
* The end of the driver, of the head, or of a storage beyond its retries ends the run; the same command resumes.
* Two runs into one bucket at the same time compute videos twice, and take out at their end what is there twice; a
  reader of the store meets each once also before that, one who reads the files themselves does not. On a disk the
  second run is refused.
* A shard that is replaced during a run by one with the same names and sizes at the same places is not noticed.
* A video whose every frame takes almost the timeout (`--decode-timeout-s`) keeps its decoder for as long as it has
  frames.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("docs/results"))
    parser.add_argument("--fuzz", type=Path, default=Path("fuzz.json"))
    parser.add_argument("--guard", type=Path, default=Path("guard.txt"))
    flags = parser.parse_args()
    with (flags.results / "faults.csv").open(newline="") as file:
        faults = list(csv.DictReader(file))
    text = "\n".join([*_faults(faults), *_fuzz(json.loads(flags.fuzz.read_text())), *_guard(flags.guard.read_text())])
    (flags.results / "faults.md").write_text(text + "\n")


def _faults(rows: list[dict[str, str]]) -> Iterator[str]:
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}"
    commits = ", ".join(dict.fromkeys(row["commit"] for row in rows))
    yield HEAD.format(machine=machine, commits=commits, clips=CLIPS).rstrip("\n")
    yield ""
    yield _row(["fault", *COLUMNS.values()])
    yield _row(["---"] * (1 + len(COLUMNS)))
    for row in rows:
        yield _row([row["fault"], *(row.get(name, "") for name in COLUMNS)])  # an older table has fewer columns
    if absent := [name for name in SCENARIOS if not any(row["fault"] == name for row in rows)]:
        yield f"\nNot done here, or not brought to their end: {', '.join(absent)}."
    totals = {name: sum(int(row.get(name) or 0) for row in rows) for name in ("times", *HARMS)}
    yield BY_DESIGN.format(**totals).rstrip("\n")


def _fuzz(found: dict[str, Any]) -> Iterator[str]:
    kinds: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for one in found["mutants"]:
        kinds[one["kind"]].append(one)
    yield f"""
## Hostile files

`make fuzz`: {len(found["mutants"])} files made from seed {found["seed"]}, each through the decoder behind its guard
and all through the job, FFmpeg of PyAV {found["pyav"]}. *Crashed* are decoders that ended (all of them at their
limit of memory, unless a line below says otherwise); their videos are failures. Files that were both or neither,
hung, or were read differently by guard and job: {len(found["problems"])}.
"""
    yield _row(["kind", "files", *OUTCOMES, "slowest s", "peak MB"])
    yield _row(["---"] * (len(OUTCOMES) + 4))
    for kind, some in [*kinds.items(), ("all", found["mutants"])]:
        counts = collections.Counter(one["guard"]["outcome"] for one in some)
        slowest, peak = (max(one["guard"][name] for one in some) for name in ("seconds", "peak_mb"))
        yield _row([kind, len(some), *(counts[name] for name in OUTCOMES), f"{slowest:.1f}", f"{peak:.0f}"])
    yield from (f"* {problem}" for problem in found["problems"])


def _guard(printed: str) -> Iterator[str]:
    yield f"""
## The price of the guard

`bench/decode.py`, healthy clips; `guard` is the share of CPU time that the process of its own adds. All jobs read
frames that are resized; at full size decoding costs less, and the same half a millisecond a video is more of it.

```
{printed.strip()}
```"""


def _row(cells: list[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
