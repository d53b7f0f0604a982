#!/usr/bin/env python
"""Decode videos into a frame store, from which networks of clips and CNNs learn.

Videos that the store has already are skipped, so the same command resumes after a kill and completes a store.
"""

from attn.commands.cli import end, parse, run
from attn.commands.precompute_options import FramesOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error, 3 too many failed videos."""
    options = parse(FramesOptions, __doc__)
    from attn.commands.decode_frames import decode_frames  # after parsing flags: a fast --help

    return run(decode_frames, options)


if __name__ == "__main__":
    end(main())
