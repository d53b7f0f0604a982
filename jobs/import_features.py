#!/usr/bin/env python
"""Import features.h5 files, as the released soft-attention code reads them, into a store with the column grid.

A list of each part is written beside the store, for train_soft_attention and evaluate. Needs the extra h5.
"""

from attn.commands.cli import end, parse, run
from attn.commands.import_features_options import ImportFeaturesOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error."""
    options = parse(ImportFeaturesOptions, __doc__)
    from attn.commands.import_features import import_features  # imported after parsing flags, so that --help is fast

    return run(import_features, options)


if __name__ == "__main__":
    end(main())
