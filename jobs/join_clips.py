#!/usr/bin/env python
"""Join labelled clips to untrimmed videos with known segments, in which actions alternate with idle time.

The job writes MP4 files, tables of their classes, and their segments in ActivityNet's and THUMOS14's forms. Exit codes:
0 success, 2 invalid flag, list or folder (nothing was written), 3 some clips could not be read and were left out.
"""

from attn.commands.cli import end, parse, run
from attn.commands.join_clips_options import JoinClipsOptions


def main() -> int:
    options = parse(JoinClipsOptions, __doc__)
    from attn.commands.join_clips import join_clips  # imported after parsing flags, so that --help is fast

    return run(join_clips, options)


if __name__ == "__main__":
    end(main())
