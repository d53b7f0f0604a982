"""Data sets of the soft-attention tables; clips of Hollywood2 may have several classes."""

from attn.commands.reproduction.data import check_splits, open_data
from attn.commands.reproduction.labelled_videos import LabelledSplit, LabelledVideos, of_benchmark
from attn.commands.reproduction.reproduce_options import SoftAttentionTablesOptions
from attn.datasets import hollywood2


def open_videos(options: SoftAttentionTablesOptions) -> LabelledVideos:
    """Open the data set; for a synthetic one that is not yet rendered, return the lists that it will have.

    Raises:
        UsageError: files are missing or wrong, or a split does not exist.
    """
    if options.dataset != "hollywood2":
        return of_benchmark(open_data(options), options)
    check_splits(options, 1)
    found = hollywood2.read_lists(str(options.root))
    return LabelledVideos(
        name="hollywood2",
        class_names=hollywood2.CLASSES,
        videos=found.videos,
        images=options.images,
        stride=options.stride or 1,
        figure="map_noninterpolated",
        splits=(LabelledSplit("split1", found.train, found.test),),
        several=True,
    )
