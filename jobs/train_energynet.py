#!/usr/bin/env python
"""Trains an EnergyNet on the attention maps of labelled videos: a learned energy in place of UnAtt's window.

Maps are read once from the store; videos that are held out decide which state is kept. Killed at any instant, the same
command goes on from the last look.
"""

from attn.engine.cli import end, parse, run
from attn.engine.options import TrainEnergyNetOptions


def main() -> int:
    """Exit code: 0 done, 2 the user must change something."""
    options = parse(TrainEnergyNetOptions, __doc__)
    from attn.engine.training.energynet import train_energynet  # after the flags: --help answers at once

    return run(train_energynet, options)


if __name__ == "__main__":
    end(main())
