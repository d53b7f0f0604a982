#!/usr/bin/env python
"""Pack videos into tar shards, because object storage serves a few large files much faster than many small ones.

Shards are written atomically. Exit code 3: some videos could not be read and were skipped.
"""

from attn.engine.cli import end, parse, run
from attn.engine.options import PackOptions


def main() -> int:
    options = parse(PackOptions, __doc__)
    from attn.engine.pack import pack  # imported after parsing so that --help is fast

    return run(pack, options)


if __name__ == "__main__":
    end(main())
