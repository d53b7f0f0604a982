#!/usr/bin/env python
"""Train an EnergyNet on the attention maps of labelled videos: a learned energy in place of UnAtt's window energy.

Maps are read once from the store. The checkpoint with the best result on held-out videos is selected. After a kill at
any time, run the same command to resume from the last validation.
"""

from attn.commands.cli import end, parse, run
from attn.training.energynet_options import TrainEnergyNetOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error."""
    options = parse(TrainEnergyNetOptions, __doc__)
    from attn.commands.train_energynet import train_energynet  # imported after parsing flags, so that --help is fast

    return run(train_energynet, options)


if __name__ == "__main__":
    end(main())
