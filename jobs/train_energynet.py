#!/usr/bin/env python
"""Train an EnergyNet, a learned energy in place of UnAtt's window energy, on the attention maps of labelled videos.

Maps are read once from the store. The checkpoint to keep is chosen by validation on held-out videos. After a crash, the
same command resumes from the last validation.
"""

from attn.engine.cli import end, parse, run
from attn.engine.options import TrainEnergyNetOptions


def main() -> int:
    """Exit code: 0 done, 2 a flag or a file is invalid."""
    options = parse(TrainEnergyNetOptions, __doc__)
    from attn.engine.training.energynet import train_energynet  # imported after parsing so that --help is fast

    return run(train_energynet, options)


if __name__ == "__main__":
    end(main())
