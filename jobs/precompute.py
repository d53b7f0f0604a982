#!/usr/bin/env python
"""Attention maps of every class of every sampled frame, written to a store of Parquet parts.

Run it again after anything died: it finishes the store and redoes only what was under way. Exit codes: 0 done, 1 the
CNN or the store failed, 2 a flag or a file is wrong (nothing was done), 3 too many videos failed.
"""

from attn.engine.cli import end, parse, run
from attn.engine.options import PrecomputeOptions


def main() -> int:
    options = parse(PrecomputeOptions, __doc__)
    from attn.engine.precompute import precompute  # after the flags: --help answers at once

    return run(precompute, options)


if __name__ == "__main__":
    end(main())
