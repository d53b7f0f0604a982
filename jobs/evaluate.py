#!/usr/bin/env python
"""Score the videos of a split list from an attention store and compute metrics.

The job writes metrics.json and scores.parquet, with --calibrate also calibration.json. Exit codes: 0 success, 2 invalid
flag or file (nothing was written).
"""

from attn.commands.cli import end, parse, run
from attn.commands.evaluate_options import EvaluateOptions


def main() -> int:
    options = parse(EvaluateOptions, __doc__)
    from attn.commands.evaluate import evaluate  # imported after parsing flags, so that --help is fast

    return run(evaluate, options)


if __name__ == "__main__":
    end(main())
