#!/usr/bin/env python
"""Reproduce the paper's tables: all splits, shares of the training videos, methods and CNNs.

Each step is one of the other jobs. Finished steps are not repeated, and a failed step stops only the steps that depend
on it. `--dataset synthetic` needs no downloads.
"""

from attn.engine.cli import end, parse, run
from attn.engine.reproduction.reproduce_options import ReproduceOptions


def main() -> int:
    """Exit code: 0 done, 1 some steps failed, 2 a flag or a file is invalid."""
    options = parse(ReproduceOptions, __doc__)
    from attn.engine.reproduction.reproduce import reproduce  # imported after parsing so that --help is fast

    return run(reproduce, options)


if __name__ == "__main__":
    end(main())
