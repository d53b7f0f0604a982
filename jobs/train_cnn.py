#!/usr/bin/env python
"""Train a CNN on Web images, or on frames of the videos in a split list, and write one checkpoint.

Each image is prepared once and each video is decoded once. The epoch to keep is chosen by validation on held-out images
or videos. After a crash, the same command resumes the training. Exit codes: 0 done, 1 the frames could not be stored,
2 a flag or a file is invalid, 3 too many videos could not be read, 4 training made no progress (the checkpoint is
written).
"""

from attn.engine.cli import end, parse, run
from attn.engine.options import TrainCnnOptions


def main() -> int:
    options = parse(TrainCnnOptions, __doc__)
    from attn.engine.training.cnn import train_cnn  # imported after parsing so that --help is fast

    return run(train_cnn, options)


if __name__ == "__main__":
    end(main())
