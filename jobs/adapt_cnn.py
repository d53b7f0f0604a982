#!/usr/bin/env python
"""Adapt a CNN to unlabelled videos: re-estimate its BatchNorm statistics on their frames.

Exit codes: 0 success, 2 invalid flag, file or CNN (nothing was written), 3 too many videos failed (nothing was
written).
"""

from attn.commands.adapt_options import AdaptOptions
from attn.commands.cli import end, parse, run


def main() -> int:
    options = parse(AdaptOptions, __doc__)
    from attn.commands.adapt_cnn import adapt_cnn  # imported after parsing flags, so that --help is fast

    return run(adapt_cnn, options)


if __name__ == "__main__":
    end(main())
