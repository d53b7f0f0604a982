#!/usr/bin/env python
"""Train a soft-attention LSTM on the activation grids of labelled videos (precompute --columns grid).

Grids are mapped once per machine, so memory does not grow with the store. The weights with the best result on held-out
videos are selected. After a kill at any time, run the same command to resume from the last validation.
"""

from attn.commands.cli import end, parse, run
from attn.training.soft_attention_options import TrainSoftAttentionOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error, 4 learnt nothing."""
    options = parse(TrainSoftAttentionOptions, __doc__)
    from attn.commands.train_soft_attention import train_soft_attention  # after parsing flags: a fast --help

    return run(train_soft_attention, options)


if __name__ == "__main__":
    end(main())
