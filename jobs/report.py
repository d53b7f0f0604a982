#!/usr/bin/env python
"""Make one page of the results of any runs: tables, charts, and frames with their attention maps.

The page is a single HTML file that opens from disk without network. Its tables sort and filter.
"""

from attn.commands.cli import end, parse, run
from attn.commands.report_options import ReportOptions


def main() -> int:
    options = parse(ReportOptions, __doc__)
    from attn.commands.report import report  # imported after parsing flags, so that --help is fast

    return run(report, options)


if __name__ == "__main__":
    end(main())
