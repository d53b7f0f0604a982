#!/usr/bin/env python
"""Search for settings of an EnergyNet: margins m and β, embedding dimension, mining schedule and more.

Trials are compared on held-out training videos. The best settings are written to best.json, for
`jobs/train_energynet.py --config`. After a kill at any time, run the same command with --resume.
"""

from spaces import SPACES

from attn.commands.cli import end, parse, run
from attn.training.search_options import SearchOptions


def main() -> int:
    """Return the exit code: 0 success, 1 some trials failed, 2 user error, 130 interrupted."""
    options = parse(SearchOptions, __doc__)
    from attn.commands.search.search import search  # imported after parsing flags, so that --help is fast

    return run(lambda given: search(given, SPACES), options)


if __name__ == "__main__":
    end(main())
