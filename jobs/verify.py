#!/usr/bin/env python
"""Verify that a store contains every frame of every video exactly once; --repair removes faulty parts and rows.

Exit codes: 0 complete, 1 incomplete, 2 invalid flag or storage error.
"""

from attn.commands.cli import end, parse, run
from attn.commands.verify_options import VerifyOptions


def main() -> int:
    options = parse(VerifyOptions, __doc__)
    from attn.commands.verify import verify  # imported after parsing flags, so that --help is fast

    def report(options: VerifyOptions) -> int:
        verdict = verify(options)
        print(verdict)
        return verdict.exit_code

    return run(report, options)


if __name__ == "__main__":
    end(main())
