#!/usr/bin/env python
"""Look at the videos of a store in a browser, frame by frame: maps, logits and energies of any classes.

The page is served on this machine only, until Ctrl-C. Exit codes: 0 ended by Ctrl-C, 2 invalid flag, store or model, or
port in use (nothing was served).
"""

from attn.commands.cli import end, parse, run
from attn.commands.explore.explore_options import ExploreOptions


def main() -> int:
    options = parse(ExploreOptions, __doc__)
    from attn.commands.explore.explore import explore  # imported after parsing flags, so that --help is fast

    return run(explore, options)


if __name__ == "__main__":
    end(main())
