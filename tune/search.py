#!/usr/bin/env python
"""Search for the best settings of an EnergyNet: margins m and β, embedding dimension, mining schedule and more.

Trials are validated on held-out training videos. The result is best.json, for `jobs/train_energynet.py --config`. After
a crash, the same command with --resume continues the search.
"""

from spaces import SPACES

from attn.engine.cli import end, parse, run
from attn.engine.tuning.search_options import SearchOptions


def main() -> int:
    """Exit code: 0 done, 1 some trials failed, 2 a flag or a file is invalid, 130 interrupted."""
    options = parse(SearchOptions, __doc__)
    from attn.engine.tuning.search import search  # imported after parsing so that --help is fast

    return run(lambda given: search(given, SPACES), options)


if __name__ == "__main__":
    end(main())
