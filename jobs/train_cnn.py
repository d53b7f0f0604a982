#!/usr/bin/env python
"""Trains a CNN on Web images, or on frames of the videos of a split list, and writes it as one checkpoint.

Every image is prepared once, every video decoded once; the share that is held out decides which epoch is kept. Killed
at any instant, the same command resumes from there. Exit codes: 0 done, 1 the frames could not be stored, 2 a flag or a
file is wrong, 3 too many videos cannot be read, 4 the training has learnt nothing (its checkpoint is written).
"""

from attn.engine.cli import end, parse, run
from attn.engine.options import TrainCnnOptions


def main() -> int:
    options = parse(TrainCnnOptions, __doc__)
    from attn.engine.training.cnn import train_cnn  # after the flags: --help answers at once

    return run(train_cnn, options)


if __name__ == "__main__":
    end(main())
