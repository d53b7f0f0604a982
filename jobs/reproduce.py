#!/usr/bin/env python
"""Reproduce a paper's tables: every split, seed and method.

Each step is one of the other jobs. Finished steps are not repeated, and a failed step stops only the steps that depend
on it. `--dataset synthetic` works out of the box.
"""

from attn.commands.cli import chosen, end, parse, run
from attn.commands.reproduction.distillation_options import DistillationTablesOptions
from attn.commands.reproduction.reproduce_options import (
    ReproduceOptions,
    SoftAttentionTablesOptions,
    TsrnetTablesOptions,
)

PAPERS = {
    "attention_transfer": ReproduceOptions,
    "soft_attention": SoftAttentionTablesOptions,
    "tsrnet": TsrnetTablesOptions,
    "attention_distillation": DistillationTablesOptions,
}


def main() -> int:
    """Return the exit code: 0 success, 1 some steps failed, 2 user error."""
    options = parse(chosen("--paper", PAPERS), __doc__)
    # Imported after parsing flags, so that --help is fast.
    from attn.commands.reproduction.page import with_page

    if isinstance(options, SoftAttentionTablesOptions):
        from attn.commands.reproduction.soft_attention_tables import reproduce_soft_attention

        return run(with_page(reproduce_soft_attention), options)
    if isinstance(options, TsrnetTablesOptions):
        from attn.commands.reproduction.tsrnet_tables import reproduce_tsrnet

        return run(with_page(reproduce_tsrnet), options)
    if isinstance(options, DistillationTablesOptions):
        from attn.commands.reproduction.distillation_tables import reproduce_distillation

        return run(with_page(reproduce_distillation), options)
    from attn.commands.reproduction.reproduce import reproduce

    return run(with_page(reproduce), options)


if __name__ == "__main__":
    end(main())
