#!/usr/bin/env python
"""The whole method on a data set that it renders itself: a few minutes on two idle cores.

Photographs and videos of eight actions are rendered with a domain shift between them; a small CNN learns the
photographs; the attention maps of every class of the videos' frames decide what they show, without a single video
label.
"""

import statistics
import sys
from typing import TYPE_CHECKING

from attn.engine.cli import parse, run
from attn.engine.options import DemoOptions

if TYPE_CHECKING:
    from attn.engine.demo import DemoResult

METHODS = (("cnn", "CNN, majority vote"), ("unatt", "UnAtt, energy of the attention"))
FIGURES = ("top_1", "top_3", "map_noninterpolated")


def main() -> int:
    options = parse(DemoOptions, __doc__)
    from attn.engine.demo import demo  # after the flags: --help answers at once

    def show(options: DemoOptions) -> int:
        print(report(demo(options)))
        return 0

    return run(show, options)


def report(result: "DemoResult") -> str:
    """What was measured, whichever way it fell."""
    place, pictures = result.localisation, result.pictures
    return "\n".join(
        [
            "",
            f"{'videos, without any video label':34}{'top-1':>8}{'top-3':>8}{'mAP':>8}",
            *(row(result, *method) for method in METHODS),
            f"mean of {len(result.metrics)} splits; the CNN on photographs it has not seen: {result.accuracy:.3f}",
            "",
            f"share of the true class's attention inside the true box: {place.share:.3f} (chance {place.chance:.3f})",
            f"share / chance, mean over {place.num_frames} frames of the actions: {place.ratio:.2f}",
            f"maps drawn over their frames: {pictures[0].parent}/ ({len(pictures)} pictures)",
            "",
            f"The attention store is {result.store}. To open it:",
            "    import glob, pandas as pd",
            f'    frames = pd.concat(map(pd.read_parquet, glob.glob("{result.store}/part-*.parquet")))',
            '    print(frames[["video_id", "frame", "label"]], frames["maps"].iloc[0].shape)',
            "",
            "seconds: " + ", ".join(f"{name} {seconds:.0f}" for name, seconds in result.seconds.items()),
        ]
    )


def row(result: "DemoResult", method: str, name: str) -> str:
    """One method's line of the table."""
    of_splits = [metrics["methods"][method] for metrics in result.metrics]
    means = [statistics.mean(split[figure]["value"] for split in of_splits) for figure in FIGURES]
    return f"{name:34}" + "".join(f"{mean:8.3f}" for mean in means)


if __name__ == "__main__":
    sys.exit(main())
