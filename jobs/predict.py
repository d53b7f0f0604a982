#!/usr/bin/env python
"""Predict the class of each video without a list or labels: a line per video, a table of all scores.

It writes predictions.csv and predictions.parquet. Exit codes: 0 done, 1 the CNN or the store failed, 2 a flag or a file
is invalid (nothing was done), 3 too many videos could not be read (predictions for the others are written).
"""

from attn.engine.cli import end, parse, run
from attn.engine.predict_options import PredictOptions


def main() -> int:
    options = parse(PredictOptions, __doc__)
    from attn.engine.predict import predict  # imported after parsing so that --help is fast

    return run(predict, options)


if __name__ == "__main__":
    end(main())
