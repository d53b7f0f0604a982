#!/usr/bin/env python
"""Searches for the settings of an EnergyNet: margins m and β, embedding dimension, mining schedule and more.

Judged by training videos that are held out. Ends with best.json, which `jobs/train_energynet.py --config` takes. Killed
at any instant, the same command with --resume goes on.
"""

from spaces import SPACES

from attn.engine.cli import end, parse, run
from attn.engine.tuning.search_options import SearchOptions


def main() -> int:
    """Exit code: 0 done, 1 some trials failed, 2 the user must change something, 130 interrupted."""
    options = parse(SearchOptions, __doc__)
    from attn.engine.tuning.search import search  # after the flags: --help answers at once

    return run(lambda given: search(given, SPACES), options)


if __name__ == "__main__":
    end(main())
