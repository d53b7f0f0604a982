#!/usr/bin/env python
"""Finds the best method for own videos, a few of them labelled, and writes it as one model file.

The CNN of Web images as it is, its attention, the CNN adapted to the videos, EnergyNets and fine-tuned CNNs are
compared by cross-validation on the labelled videos. A method that needs labels is chosen only if it is clearly better
than the best one that needs none. Exit codes: 0 done, 1 some steps failed (the same command tries them again), 2 a flag
or a file is wrong.
"""

from attn.engine.choose_options import ChooseOptions
from attn.engine.cli import end, parse, run


def main() -> int:
    options = parse(ChooseOptions, __doc__)
    from attn.engine.choose import choose  # after the flags: --help answers at once

    return run(choose, options)


if __name__ == "__main__":
    end(main())
