#!/usr/bin/env python
"""Train a network of clips on optical flow (a teacher) or on frames (a student of its attention).

Frames and flow are mapped once per machine. The weights with the best accuracy on held-out videos are selected. After a
kill at any time, run the same command to resume from the last epoch.
"""

from attn.commands.cli import end, parse, run
from attn.training.clip_options import TrainClipCnnOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error, 4 learnt nothing."""
    options = parse(TrainClipCnnOptions, __doc__)
    from attn.commands.train_clip_cnn import train_clip_cnn  # after parsing flags: a fast --help

    return run(train_clip_cnn, options)


if __name__ == "__main__":
    end(main())
