#!/usr/bin/env python
"""Thousands of hostile files, each read by the decoder behind its guard and all of them by the real job.

    python tests/fuzz/campaign.py [--seed 0] [--mutants 2000] [--out FILE.json]
    python tests/fuzz/campaign.py --seed 0 --write NUMBER PATH

Nothing is stored: a seed and a number make the same file again. Whatever a file does, its video must become rows
(complete, or truncated and marked so) or one failure with its reason; both readings must agree; and nothing may hang.
Exit codes: 0 all is well, 1 something is not: each offender is named by its seed and number.
"""

import argparse
import contextlib
import dataclasses
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
from clips import encode, real_clips
from guarded import OUTCOMES, MeasuredReader, Outcome
from impostors import NEIGHBOUR, TRACE
from job import precompute, save_small_cnn, stored_outcomes
from mutants import Mutant, mutant

from attn.video.sample import Fps, Sampling, Stride

FOLDER = 250
SAMPLINGS: tuple[Sampling, ...] = (Stride(5), Fps(10.0), Stride(1))
READ_TWICE_EVERY = 7
SLACK_S = 10.0  # beyond the timeout: to start another process, on a machine that is busy
MOST_MB = 3000  # a picture of FFmpeg's largest size, as it is and in RGB
EXIT_CODES = (0, 3)


@dataclasses.dataclass
class Finding:
    """A mutant with what the guard and what the job made of it."""

    mutant: Mutant
    guarded: Outcome
    stored: Outcome | None = None
    sha256: str = ""

    def problems(self, timeout_s: float) -> Iterator[str]:
        """What should not be."""
        for who, one in (("guard", self.guarded), ("job", self.stored)):
            yield from (f"{who}: {problem}" for problem in (one.problems if one else ()))
            if one and one.message and self.mutant.tag not in one.message:
                yield f"{who}: a message that names no file: {one.message!r}"
        if self.guarded.seconds > timeout_s + SLACK_S:
            yield f"guard: took {self.guarded.seconds:.0f} s"
        if self.guarded.peak_mb > MOST_MB:
            yield f"guard: took {self.guarded.peak_mb:.0f} MB"
        if self.mutant.kind == "playlist" and self.guarded.rows:
            yield f"guard: {self.guarded.rows} rows of a file that is no video"
        if self.stored is None:
            return
        told = [(one.outcome, one.rows) for one in (self.guarded, self.stored)]
        if told[0] != told[1] and not any(one.outcome == "timeout" for one in (self.guarded, self.stored)):
            yield f"guard and job disagree: {told[0]}, {told[1]} {self.stored.message}"


def main(arguments: Sequence[str]) -> int:
    asked = _flags().parse_args(arguments)
    if asked.write:
        number, path = asked.write
        made = mutant(asked.seed, int(number), real=asked.real)
        Path(path).write_bytes(made.data)
        _say(f"{made.kind} of {made.source or 'nothing'}, named {made.name!r}, sha256 {made.digest}")
        return 0
    started_s, findings, problems = time.monotonic(), [], []
    with tempfile.TemporaryDirectory(prefix="attn-fuzz-") as scratch:
        weights = save_small_cnn(Path(scratch, "small.safetensors"))
        for first in range(asked.first, asked.first + asked.mutants, FOLDER):
            count = min(FOLDER, asked.first + asked.mutants - first)
            folder = Folder(Path(scratch, f"from{first}"), asked.seed, range(first, first + count), real=asked.real)
            more, wrong = folder.examine(weights, asked.timeout_s)
            findings += more
            problems += wrong
            _say(f"{first + count} mutants, {time.monotonic() - started_s:.0f} s, {len(problems)} problems")
            for problem in wrong:
                _say(f"PROBLEM {problem}")
    _say("\n" + table(findings))
    for outcome in ("timeout", "crashed"):
        _say(f"{outcome}: {[one.mutant.number for one in findings if one.guarded.outcome == outcome]}")
    if asked.out:
        Path(asked.out).write_text(json.dumps(_report(asked, findings, problems), indent=1))
    return 1 if problems else 0


class Folder:
    """A few hundred mutants, and a good clip that must come out whole."""

    def __init__(self, folder: Path, seed: int, numbers: range, *, real: bool):
        self._videos, self._store = folder / "videos", folder / "store"
        self._videos.mkdir(parents=True)
        self._seed, self._numbers, self._real = seed, numbers, real
        self._sampling = SAMPLINGS[numbers.start // FOLDER % len(SAMPLINGS)]

    def examine(self, weights: Path, timeout_s: float) -> tuple[list[Finding], list[str]]:
        """Both readings, and all that should not be; nothing is left on the disk."""
        control = Mutant(self._seed, -1, "control", "mpeg4", NEIGHBOUR, encode("avi", "mpeg4"))
        control.write(self._videos)
        findings = self._guarded(control, timeout_s)
        problems = self._stored(findings, weights, timeout_s)
        for one in findings:
            made = one.mutant
            who = f"seed {made.seed} number {made.number} ({made.kind} of {made.source})"
            problems += [f"{who}: {problem}" for problem in one.problems(timeout_s)]
        good = findings[0]
        if any(one is None or one.outcome != "complete" for one in (good.guarded, good.stored)):
            problems.append(f"the good clip among mutants {self._numbers} is not complete: {good}")
        problems += [f"something ran: {path}" for path in self._videos.parent.rglob(TRACE)]
        shutil.rmtree(self._videos.parent)
        return findings[1:], problems

    def _guarded(self, control: Mutant, timeout_s: float) -> list[Finding]:
        with contextlib.closing(MeasuredReader(timeout_s)) as reader:
            findings = [Finding(_emptied(control), reader.read(self._videos / control.name, self._sampling))]
            for number in self._numbers:
                made = mutant(self._seed, number, real=self._real)
                path = made.write(self._videos)
                found = reader.read(path, self._sampling)
                if number % READ_TWICE_EVERY == 0 and found.outcome != "timeout":
                    again = reader.read(path, self._sampling)
                    if (again.outcome, again.rows, again.digest) != (found.outcome, found.rows, found.digest):
                        found.problems.append(f"read twice: {found}, {again}")
                findings.append(Finding(_emptied(made), found, sha256=made.digest))
        return findings

    def _stored(self, findings: list[Finding], weights: Path, timeout_s: float) -> list[str]:
        hung = sum(one.guarded.outcome == "timeout" for one in findings)
        patience_s = 400 + 3 * (timeout_s + SLACK_S) * hung + 2 * sum(one.guarded.seconds for one in findings)
        ended = precompute(
            self._videos, self._store, weights, self._sampling, decode_timeout_s=timeout_s, timeout_s=patience_s
        )
        _say(f"the job took {ended.seconds:.0f} s and ended with {ended.code}")
        where = f"the job over mutants {self._numbers.start} to {self._numbers.stop - 1}"
        if ended.code not in EXIT_CODES:
            return [f"{where} ended with {ended.code} after {ended.seconds:.0f} s: {ended.log[-2000:]}"]
        outcomes, problems = stored_outcomes(self._store, [one.mutant.name for one in findings])
        for finding in findings:
            finding.stored = outcomes[finding.mutant.name]
        problems += [f"it wrote {line!r}" for line in ended.log.splitlines() if not line.isprintable()]
        return [f"{where}: {problem}" for problem in problems]


def _emptied(made: Mutant) -> Mutant:
    """Thousands of them at a time."""
    return dataclasses.replace(made, data=b"")


def table(findings: Sequence[Finding]) -> str:
    """What the guard saw, kind by kind."""
    kinds = dict.fromkeys(finding.mutant.kind for finding in findings)
    rows = [_row(kind, [one for one in findings if one.mutant.kind == kind]) for kind in kinds]
    head = ["kind", "mutants", *OUTCOMES, "slowest s", "peak MB"]
    lines = [head, *rows, _row("all", list(findings))]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _row(kind: str, findings: Sequence[Finding]) -> list[str]:
    counts = [sum(one.guarded.outcome == outcome for one in findings) for outcome in OUTCOMES]
    slowest_s = max((one.guarded.seconds for one in findings), default=0.0)
    peak_mb = max((one.guarded.peak_mb for one in findings), default=0.0)
    return [kind, *map(str, (len(findings), *counts)), f"{slowest_s:.1f}", f"{peak_mb:.0f}"]


def _report(asked: argparse.Namespace, findings: Sequence[Finding], problems: Sequence[str]) -> dict[str, Any]:
    return {
        "seed": asked.seed,
        "real_clips": [clip.name for clip in real_clips()] if asked.real else [],
        "pyav": av.__version__,
        "ffmpeg": {name: ".".join(map(str, version)) for name, version in av.library_versions.items()},
        "problems": list(problems),
        "mutants": [
            {
                "number": one.mutant.number,
                "kind": one.mutant.kind,
                "source": one.mutant.source,
                "sha256": one.sha256,
                "name": one.mutant.name,
                "guard": {**dataclasses.asdict(one.guarded), "seconds": round(one.guarded.seconds, 3)},
                "job": one.stored and {"outcome": one.stored.outcome, "rows": one.stored.rows},
            }
            for one in findings
        ],
    }


def _flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--mutants", type=int, default=2000, help="how many")
    parser.add_argument("--timeout-s", type=float, default=20.0, help="of the decoder")
    parser.add_argument("--no-real", dest="real", action="store_false", help="no real clips, though some are present")
    parser.add_argument("--out", metavar="FILE.json", help="what came of each")
    parser.add_argument("--write", nargs=2, metavar=("NUMBER", "PATH"), help="write one of them to a file, and no more")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    sys.exit(main(sys.argv[1:]))
