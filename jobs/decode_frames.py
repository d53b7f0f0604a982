#!/usr/bin/env python
"""Decode videos into a frame store, from which networks of clips and CNNs learn.

Videos that the store has already are skipped, so the same command resumes after a kill and completes a store.
"""

from attn.commands.cli import end, parse, run
from attn.commands.decode_frames_options import DecodeFramesOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error, 3 too many failed videos."""
    options = parse(DecodeFramesOptions, __doc__)
    from attn.commands.decode_frames import decode_listed  # after parsing flags: a fast --help

    return run(decode_listed, options)


if __name__ == "__main__":
    end(main())
