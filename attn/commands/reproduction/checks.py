"""Checks of the options that the tables of any paper have."""

from attn.commands.reproduction.reproduce_options import BenchmarkTablesOptions, TablesOptions
from attn.errors import UsageError


def check_options(options: TablesOptions) -> None:
    """Check the options without reading any file.

    Raises:
        UsageError: an option is out of range, or options contradict each other; the message names the first one.
    """
    if not options.seeds or min(options.seeds) < 0 or len(set(options.seeds)) < len(options.seeds):
        raise UsageError(
            f"--seeds {' '.join(map(str, options.seeds))}: not valid. Give different integers of 0 or more."
        )
    for flag in ("backbones", "fractions", "splits", "variants"):
        values = getattr(options, flag, None) or ()
        if len(set(values)) < len(values):
            raise UsageError(f"--{flag} {' '.join(map(str, values))}: duplicate values. List each value once.")
    for flag in options.COUNTS:
        value = getattr(options, flag)
        if value is not None and value < 1:
            raise UsageError(f"--{flag.replace('_', '-')} {value}: too small. Give 1 or more.")
    if not 0 <= options.max_failed_fraction <= 1:
        raise UsageError(
            f"--max-failed-fraction {options.max_failed_fraction:g}: out of range. Give a number from 0 to 1."
        )
    if options.actors is not None and not 1 <= options.actors[0] <= options.actors[1]:
        low, high = options.actors
        raise UsageError(
            f"--actors {low} {high}: not a valid range. Give the minimum and the maximum number of actors, 1 or more."
        )
    if options.root is None and options.dataset != "synthetic":
        raise UsageError(f"--dataset {options.dataset}: --root is missing. Give the folder of the data set as --root.")
    if isinstance(options, BenchmarkTablesOptions) and (options.labels is None) == (options.dataset == "labelled"):
        if options.labels is None:
            raise UsageError("--dataset labelled: --labels is missing. Give the table of labels as --labels.")
        raise UsageError(f"--labels: belongs to --dataset labelled, not {options.dataset}. Omit one of the two flags.")
