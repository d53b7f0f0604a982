#!/usr/bin/env python
"""Train a TSRNet on the features of untrimmed videos with video-level labels (precompute --columns features).

It learns which samples of a video matter, and with --trimmed transfers knowledge from trimmed videos. No times of
actions are read. The weights with the best result on held-out videos are selected. After a kill at any time, run the
same command to resume from the last validation.
"""

from attn.commands.cli import end, parse, run
from attn.training.tsrnet_options import TrainTsrnetOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error, 4 learnt nothing."""
    options = parse(TrainTsrnetOptions, __doc__)
    from attn.commands.train_tsrnet import train_tsrnet  # imported after parsing flags, so that --help is fast

    return run(train_tsrnet, options)


if __name__ == "__main__":
    end(main())
