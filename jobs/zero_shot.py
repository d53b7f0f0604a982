#!/usr/bin/env python
"""Make a classifier of class names with CLIP, without any image: a checkpoint for precompute and all other jobs.

Exit codes: 0 success, 2 invalid flag, file or network (nothing was written).
"""

from attn.commands.cli import end, parse, run
from attn.commands.zero_shot_options import ZeroShotOptions


def main() -> int:
    options = parse(ZeroShotOptions, __doc__)
    from attn.commands.zero_shot import zero_shot  # imported after parsing flags, so that --help is fast

    return run(zero_shot, options)


if __name__ == "__main__":
    end(main())
