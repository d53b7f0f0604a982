#!/usr/bin/env python
"""Classify videos: print one line per video and write a table of all scores. No lists or labels are needed.

The job writes predictions.csv and predictions.parquet, and with --overlays videos of its attention. Exit codes: 0
success, 1 the CNN or the output failed, 2 invalid flag or file (nothing was done), 3 too many videos cannot be read
(the others are written).
"""

from attn.commands.cli import end, parse, run
from attn.commands.predict_options import PredictOptions


def main() -> int:
    options = parse(PredictOptions, __doc__)
    from attn.commands.predict import predict  # imported after parsing flags, so that --help is fast

    return run(predict, options)


if __name__ == "__main__":
    end(main())
