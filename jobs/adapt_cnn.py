#!/usr/bin/env python
"""Adapts a CNN to videos without any label: its BatchNorm statistics are estimated again on frames of them.

Exit codes: 0 done, 2 a flag, a file or the CNN is wrong (nothing was written), 3 too many videos failed (nothing was
written).
"""

from attn.engine.adapt_options import AdaptOptions
from attn.engine.cli import end, parse, run


def main() -> int:
    options = parse(AdaptOptions, __doc__)
    from attn.engine.adapt import adapt_cnn  # after the flags: --help answers at once

    return run(adapt_cnn, options)


if __name__ == "__main__":
    end(main())
