#!/usr/bin/env python
"""Pack videos into tar shards: a bucket serves a few large files far faster than thousands of small ones.

Shards are written atomically. Exit codes: 0 success, 2 invalid flag, file or folder (nothing was written), 3 some
videos could not be read and were left out.
"""

from attn.commands.cli import end, parse, run
from attn.commands.pack_options import PackOptions


def main() -> int:
    options = parse(PackOptions, __doc__)
    from attn.commands.pack import pack  # imported after parsing flags, so that --help is fast

    return run(pack, options)


if __name__ == "__main__":
    end(main())
