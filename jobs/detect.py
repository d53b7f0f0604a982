#!/usr/bin/env python
"""Detect when actions happen in untrimmed videos, from stored features and trained TSRNets of one or two streams.

The detections are written as Parquet, as ActivityNet's JSON and as THUMOS14's text; jobs/evaluate_detection.py compares
them with a ground truth. Only samples of a video are in memory, so it may be hours long.
"""

from attn.commands.cli import end, parse, run
from attn.commands.detect_options import DetectOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error (nothing was written)."""
    options = parse(DetectOptions, __doc__)
    from attn.commands.detect import detect  # imported after parsing flags, so that --help is fast

    return run(detect, options)


if __name__ == "__main__":
    end(main())
