#!/usr/bin/env python
"""Pack videos into tar shards: a bucket serves a few large files far better than thousands of small ones.

Every shard appears whole or not at all. Exit code 3: some videos could not be read and were left out.
"""

from attn.engine.cli import end, parse, run
from attn.engine.options import PackOptions


def main() -> int:
    options = parse(PackOptions, __doc__)
    from attn.engine.pack import pack  # after the flags: --help answers at once

    return run(pack, options)


if __name__ == "__main__":
    end(main())
