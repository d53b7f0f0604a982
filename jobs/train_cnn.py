#!/usr/bin/env python
"""Trains a CNN on Web images and writes it as one checkpoint.

Every image is prepared once; the share that is held out decides which epoch is kept. Killed at any instant, the same
command goes on after the last finished epoch.
"""

import sys

from attn.engine.cli import parse, run
from attn.engine.options import TrainCnnOptions


def main() -> int:
    """Exit code: 0 done, 2 the user must change something."""
    options = parse(TrainCnnOptions, __doc__)
    from attn.engine.train_cnn import train_cnn  # after the flags: --help answers at once

    return run(train_cnn, options)


if __name__ == "__main__":
    sys.exit(main())
