"""Data sets of the result tables, by name."""

from collections.abc import Callable
from typing import get_args

from attn.datasets import hmdb51, something_v2, synthetic, tvhi, ucf11, ucf101, ut_interaction
from attn.datasets.benchmark_names import BenchmarkName
from attn.datasets.protocol import Benchmark, Split
from attn.errors import UsageError

__all__ = ["Benchmark", "BenchmarkName", "Split", "open_benchmark"]

_BY_NAME: dict[str, Callable[[str, str | None], Benchmark]] = {
    "ucf101": ucf101.benchmark,
    "hmdb51": hmdb51.benchmark,
    "ucf11": ucf11.benchmark,
    "ucf11_975": ucf11.benchmark_975,
    "ucf11_random": ucf11.benchmark_random,
    "tvhi": tvhi.benchmark,
    "ut_interaction": ut_interaction.benchmark,
    "something_v2": something_v2.benchmark,
    "synthetic": synthetic.benchmark,
    "synthetic_motion": synthetic.benchmark_motion,
}


def open_benchmark(name: BenchmarkName, root: str, images: str | None = None) -> Benchmark:
    """Classes, URLs, splits and protocol of a data set. Lists are read and checked; no video is opened.

    Args:
        name: name of the data set.
        root: local or remote folder in the data set's official layout, which is shown in the data set's module.
        images: folder of Web images. Default: the synthetic data set's own images, none for the others.

    Raises:
        UsageError: the name is unknown, or files of the data set are missing or wrong.
    """
    if name not in _BY_NAME:
        raise UsageError(f"data set {name!r}: unknown. Choose from {', '.join(get_args(BenchmarkName))}.")
    return _BY_NAME[name](root, images)
