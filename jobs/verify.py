#!/usr/bin/env python
"""Says whether a store holds every frame of every video exactly once; with --repair, takes out what is wrong.

Exit codes: 0 complete, 1 not, 2 a flag or a storage is wrong.
"""

from attn.engine.cli import end, parse, run
from attn.engine.verify_options import VerifyOptions


def main() -> int:
    options = parse(VerifyOptions, __doc__)
    from attn.engine.verify import verify  # after the flags: --help answers at once

    def report(options: VerifyOptions) -> int:
        verdict = verify(options)
        print(verdict)
        return verdict.exit_code

    return run(report, options)


if __name__ == "__main__":
    end(main())
