#!/usr/bin/env python
"""Compute the mean average precision of temporal detections by the published evaluators.

The job writes detection.json and detection.md. Exit codes: 0 success, 2 invalid flag or file (nothing was written).
"""

from attn.commands.cli import end, parse, run
from attn.commands.evaluate_detection_options import EvaluateDetectionOptions


def main() -> int:
    options = parse(EvaluateDetectionOptions, __doc__)
    from attn.commands.evaluate_detection import evaluate_detection  # imported after parsing flags: --help is fast

    return run(evaluate_detection, options)


if __name__ == "__main__":
    end(main())
