#!/usr/bin/env python
"""Compute the optical flow from every sampled frame to the next and write it to a store of Parquet parts.

Run the same command again after a crash to complete the store; only unfinished videos are processed again. Exit codes:
0 success, 1 the algorithm or the store failed, 2 invalid flag or file (nothing was done), 3 too many videos failed.
"""

from attn.commands.cli import end, parse, run
from attn.commands.precompute_flow_options import PrecomputeFlowOptions


def main() -> int:
    options = parse(PrecomputeFlowOptions, __doc__)
    from attn.commands.precompute_flow import precompute_flow  # imported after parsing flags, so that --help is fast

    return run(precompute_flow, options)


if __name__ == "__main__":
    end(main())
