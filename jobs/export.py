#!/usr/bin/env python
"""Export a store for other programs: NumPy files, a table of logits, HDF5 files, or a data set of FiftyOne."""

from attn.commands.cli import end, parse, run
from attn.commands.export_options import ExportOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error."""
    options = parse(ExportOptions, __doc__)
    from attn.commands.export import export  # imported after parsing flags, so that --help is fast

    return run(export, options)


if __name__ == "__main__":
    end(main())
