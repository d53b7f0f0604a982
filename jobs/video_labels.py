#!/usr/bin/env python
"""Make a table of the classes of videos from their temporal annotation, without its times.

train_tsrnet learns from labels of whole videos and opens no file with times of actions; this job makes such labels of
ActivityNet's JSON, of THUMOS14's files or of a table. With an overlap list, only the classes that two data sets share
stay.
"""

from attn.commands.cli import end, parse, run
from attn.commands.video_labels_options import VideoLabelsOptions


def main() -> int:
    """Return the exit code: 0 success, 2 user error (nothing was written)."""
    options = parse(VideoLabelsOptions, __doc__)
    from attn.commands.write_video_labels import write_video_labels  # imported after parsing flags: --help is fast

    return run(write_video_labels, options)


if __name__ == "__main__":
    end(main())
