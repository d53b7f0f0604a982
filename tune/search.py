#!/usr/bin/env python
"""Search for settings of an EnergyNet, such as margins and mining schedule, of a soft-attention LSTM or a TSRNet.

Trials are compared on held-out training videos. The best settings are written to best.json, for `--config` of
`jobs/train_energynet.py`, `jobs/train_soft_attention.py` or `jobs/train_tsrnet.py`. After a kill at any time, run the
same command with --resume.
"""

from spaces import SPACES

from attn.commands.cli import chosen, end, parse, run
from attn.training.search_options import SearchOptions, SearchSoftAttentionOptions, SearchTsrnetOptions

MODELS = {"energynet": SearchOptions, "soft_attention": SearchSoftAttentionOptions, "tsrnet": SearchTsrnetOptions}


def main() -> int:
    """Return the exit code: 0 success, 1 some trials failed, 2 user error, 130 interrupted."""
    options = parse(chosen("--model", MODELS), __doc__)
    from attn.commands.search.search import search  # imported after parsing flags, so that --help is fast

    return run(lambda given: search(given, SPACES[given.model]), options)


if __name__ == "__main__":
    end(main())
