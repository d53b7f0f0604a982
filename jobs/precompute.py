#!/usr/bin/env python
"""Compute the attention maps of every class for every sampled frame and write them to a store of Parquet parts.

Run the same command again after a crash to complete the store; only unfinished videos are processed again. Exit codes:
0 success, 1 the CNN or the store failed, 2 invalid flag or file (nothing was done), 3 too many videos failed.
"""

from attn.commands.cli import end, parse, run
from attn.commands.precompute_options import PrecomputeOptions


def main() -> int:
    options = parse(PrecomputeOptions, __doc__)
    from attn.commands.precompute import precompute  # imported after parsing flags, so that --help is fast

    return run(precompute, options)


if __name__ == "__main__":
    end(main())
