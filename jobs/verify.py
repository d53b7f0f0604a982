#!/usr/bin/env python
"""Check that a store contains each frame of each video exactly once; with --repair, remove invalid parts.

Exit codes: 0 complete, 1 incomplete, 2 a flag or the storage is invalid.
"""

from attn.engine.cli import end, parse, run
from attn.engine.verify_options import VerifyOptions


def main() -> int:
    options = parse(VerifyOptions, __doc__)
    from attn.engine.verify import verify  # imported after parsing so that --help is fast

    def report(options: VerifyOptions) -> int:
        verdict = verify(options)
        print(verdict)
        return verdict.exit_code

    return run(report, options)


if __name__ == "__main__":
    end(main())
