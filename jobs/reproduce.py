#!/usr/bin/env python
"""The paper's tables from one command: every split, share of the training videos, method and CNN.

Each step is one of the other jobs; what is finished is not done again, a step that fails takes down only those that
need it. `--dataset synthetic` works out of the box.
"""

from attn.engine.cli import end, parse, run
from attn.engine.reproduction.reproduce_options import ReproduceOptions


def main() -> int:
    """Exit code: 0 done, 1 some steps failed, 2 the user must change something."""
    options = parse(ReproduceOptions, __doc__)
    from attn.engine.reproduction.reproduce import reproduce  # after the flags: --help answers at once

    return run(reproduce, options)


if __name__ == "__main__":
    end(main())
