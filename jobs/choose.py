#!/usr/bin/env python
"""Find the best method for your videos, a few of them labelled, and write it as one model file.

The CNN of Web images, its attention, the CNN adapted to the videos, EnergyNets and fine-tuned CNNs are compared by
cross-validation on the labelled videos. A method that needs labels is chosen only if it is clearly better than the best
one without labels. Exit codes: 0 success, 1 some steps failed (run the same command to retry them), 2 invalid flag or
file.
"""

from attn.commands.choose_options import ChooseOptions
from attn.commands.cli import end, parse, run


def main() -> int:
    options = parse(ChooseOptions, __doc__)
    from attn.commands.choose import choose  # imported after parsing flags, so that --help is fast

    return run(choose, options)


if __name__ == "__main__":
    end(main())
