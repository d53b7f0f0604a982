"""Split lists of the experiments.

    <out>/splits/classes.txt
    <out>/splits/<split>-test.txt
    <out>/splits/<split>-train-<percent>-seed<k>.txt
    <out>/splits/<split>-train-<percent>-seed<k>-fold<i>of<n>.txt    all but fold i
    <out>/splits/<split>-train-<percent>-seed<k>-left<i>of<n>.txt    fold i
    <out>/splits/<split>-unlabelled-<percent>-seed<k>.txt            training videos outside the fraction, at most 1000

Each fraction and fold has its own list, so the training videos of every CNN are on record and are drawn only once.
"""

import hashlib

from attn.commands.reproduction.reproduce_options import ReproduceOptions, TablesOptions
from attn.datasets.benchmark import Benchmark, Split
from attn.datasets.fractions import Fold, deal_groups, split_folds, take_fraction
from attn.datasets.split import SplitList, split_text, write_split_list
from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.training.recipe import PAPER

MOST_CALIBRATED = 1000
"""Number of unlabelled videos that suffice to calibrate scores."""


def percent(fraction: float) -> str:
    """Format a fraction as three digits of per cent, such as 020, so that folders sort by it."""
    return f"{round(100 * fraction):03d}"


def write_lists(benchmark: Benchmark, options: ReproduceOptions) -> None:
    """Write the class list and the lists of all splits, fractions, seeds and folds.

    Each split draws its fractions independently: splits with overlapping lists should not share the same few videos.
    """
    names = "".join(f"{name}\n" for name in benchmark.class_names)
    Location.at(list_of_classes(options)).write_atomic(names.encode())
    recordings = _recordings(benchmark)
    for url, split in make_lists(benchmark, options):
        if not Location.at(
            url
        ).exists():  # an older list contains no recordings, and its trainings held out single videos
            write_split_list(url, split, benchmark.class_names, recordings)


def check_lists(benchmark: Benchmark, options: ReproduceOptions) -> None:
    """Check that no list on record would change: finished steps have used the videos and labels of these lists.

    Raises:
        UsageError: a list would change.
    """
    names, recordings = benchmark.class_names, _recordings(benchmark)
    for url, split in make_lists(benchmark, options):
        file = Location.at(url)
        before = file.read_text() if file.exists() else None
        if before not in (None, *(split_text(split, names, known, where=url) for known in (None, recordings))):
            raise UsageError(
                f"{options.out}: was made with other videos or labels ({url} would change). Choose another --out."
            )


def make_lists(benchmark: Benchmark, options: ReproduceOptions) -> list[tuple[str, SplitList]]:
    """Return the URL and the content of every list.

    Raises:
        UsageError: there are too few training videos for the number of folds.
    """
    found: list[tuple[str, SplitList]] = []
    for split in chosen_splits(benchmark, options):
        if split.test:
            found.append((list_of_test(options, split.name), split.test))
        for seed in options.seeds:
            own = int(hashlib.sha256(f"{seed}/{split.name}".encode()).hexdigest()[:8], 16)
            for fraction in {*(options.fractions or ()), 1.0}:
                share = take_fraction(split.train, fraction, seed=own)
                url = list_of_train(options, split.name, percent(fraction), seed)
                found.append((url, share))
                if others := unlabelled(benchmark, split, share, options):
                    found.append((list_of_unlabelled(options, split.name, percent(fraction), seed), others))
                if options.map_source == "out_of_fold" and fraction in (options.fractions or ()):
                    folds = _folds(
                        share, options.folds, own, benchmark, f"{options.labels or options.dataset}, {split.name}"
                    )
                    for number, fold in enumerate(folds, start=1):
                        found += zip(lists_of_fold(url, number, options.folds), fold, strict=True)
    return found


def unlabelled(benchmark: Benchmark, split: Split, share: SplitList, options: ReproduceOptions) -> SplitList:
    """Training videos outside a share, on which scores of CNNs that were fine-tuned on the share are calibrated.

    A thousand give the mean and the standard deviation of a score to 3 % of the latter. The result is empty if there
    are fewer videos than classes, or if nothing or all videos are used without labels.

    Args:
        benchmark: the data set.
        split: split of the share.
        share: labelled training videos.
        options: resolved options.
    """
    others = {video_id: name for video_id, name in split.train.items() if video_id not in share}
    if options.recipe == PAPER or options.adapt_to == "all" or len(others) < len(benchmark.class_names):
        return {}
    return take_fraction(others, min(1.0, MOST_CALIBRATED / len(others)), seed=0)


def _recordings(benchmark: Benchmark) -> dict[str, str] | None:
    """Recordings of your own videos, whose names do not tell them; None if every video is its own."""
    if benchmark.name != "labelled" or benchmark.group_of is None:
        return None
    recordings = {video_id: str(benchmark.group_of(video_id)) for video_id in benchmark.labels}
    return recordings if len(set(recordings.values())) < len(recordings) else None


def _folds(share: SplitList, count: int, seed: int, benchmark: Benchmark, where: str) -> list[Fold]:
    if benchmark.across_classes and benchmark.group_of is not None:
        how = {"where": where, "flag": "--folds or --map-source"}
        return deal_groups(share, count, seed=seed, group_of=benchmark.group_of, **how)
    return split_folds(share, count, seed=seed, group_of=benchmark.group_of)


def chosen_splits(benchmark: Benchmark, options: ReproduceOptions) -> tuple[Split, ...]:
    """Splits to run: those of `--splits`, or all."""
    numbers = options.splits or tuple(range(1, len(benchmark.splits) + 1))
    return tuple(benchmark.splits[number - 1] for number in numbers)


def list_of_classes(options: TablesOptions) -> str:
    """URL of the class list."""
    return join(options.out, "splits", "classes.txt")


def list_of_test(options: ReproduceOptions, split: str) -> str:
    """URL of the list of a split's test videos."""
    return _list(options, split, "test")


def list_of_train(options: ReproduceOptions, split: str, share: str, seed: int) -> str:
    """URL of the list of training videos of a split, share and seed."""
    return _list(options, split, f"train-{share}-seed{seed}")


def list_of_unlabelled(options: ReproduceOptions, split: str, share: str, seed: int) -> str:
    """URL of the list of training videos outside a share."""
    return _list(options, split, f"unlabelled-{share}-seed{seed}")


def lists_of_fold(train: str, number: int, count: int) -> tuple[str, str]:
    """URLs of the lists of videos outside and inside a fold of a training list; folds are numbered from 1."""
    whole = train.removesuffix(".txt")
    return f"{whole}-fold{number}of{count}.txt", f"{whole}-left{number}of{count}.txt"


def _list(options: ReproduceOptions, split: str, what: str) -> str:
    return join(options.out, "splits", f"{split}-{what}.txt")
