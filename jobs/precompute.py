#!/usr/bin/env python
"""Compute attention maps of all classes for sampled frames, and write them to a store of Parquet parts.

After a crash, run the same command again: it completes the store and repeats only unfinished work. Exit codes: 0 done,
1 the CNN or the store failed, 2 a flag or a file is invalid (nothing was done), 3 too many videos failed.
"""

from attn.engine.cli import end, parse, run
from attn.engine.options import PrecomputeOptions


def main() -> int:
    options = parse(PrecomputeOptions, __doc__)
    from attn.engine.precompute import precompute  # imported after parsing so that --help is fast

    return run(precompute, options)


if __name__ == "__main__":
    end(main())
