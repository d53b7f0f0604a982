#!/usr/bin/env python
"""Train a CNN on Web images, or on frames of the videos of a split list, and write one checkpoint.

Images are resized once and videos decoded once. The epoch with the best validation result is saved. After a kill at any
time, run the same command to resume. Exit codes: 0 success, 1 the frames could not be stored, 2 invalid flag or file,
3 too many videos cannot be read, 4 the training has learnt nothing (its checkpoint is written).
"""

from attn.commands.cli import end, parse, run
from attn.training.cnn_options import TrainCnnOptions


def main() -> int:
    options = parse(TrainCnnOptions, __doc__)
    from attn.commands.train_cnn import train_cnn  # imported after parsing flags, so that --help is fast

    return run(train_cnn, options)


if __name__ == "__main__":
    end(main())
