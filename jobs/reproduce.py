#!/usr/bin/env python
"""Reproduce the paper's tables: every split, share of the training videos, method and CNN.

Each step is one of the other jobs. Finished steps are not repeated, and a failed step stops only the steps that depend
on it. `--dataset synthetic` works out of the box.
"""

from attn.commands.cli import end, parse, run
from attn.commands.reproduction.reproduce_options import ReproduceOptions


def main() -> int:
    """Return the exit code: 0 success, 1 some steps failed, 2 user error."""
    options = parse(ReproduceOptions, __doc__)
    from attn.commands.reproduction.reproduce import reproduce  # imported after parsing flags, so that --help is fast

    return run(reproduce, options)


if __name__ == "__main__":
    end(main())
