#!/usr/bin/env python
"""Says which class each video shows: one line per video, and a table of all scores. Needs no list and no labels.

Writes predictions.csv and predictions.parquet. Exit codes: 0 done, 1 the CNN or the store failed, 2 a flag or a file is
wrong (nothing was done), 3 too many videos cannot be read (the others are written).
"""

from attn.engine.cli import end, parse, run
from attn.engine.predict_options import PredictOptions


def main() -> int:
    options = parse(PredictOptions, __doc__)
    from attn.engine.predict import predict  # after the flags: --help answers at once

    return run(predict, options)


if __name__ == "__main__":
    end(main())
