#!/usr/bin/env python
"""Run the whole method on a rendered data set, in a few minutes on two idle cores.

Photographs and videos of eight actions are rendered with a domain shift between them. A small CNN is trained on the
photographs. The videos are then classified by the attention maps of their frames, first without video labels, then with
labels for a few videos. It is a small version of `jobs/reproduce.py --dataset synthetic`.
"""

from typing import TYPE_CHECKING, Any

from attn.engine.cli import end, parse, run
from attn.engine.reproduction.reproduce_options import DemoOptions

if TYPE_CHECKING:
    from attn.engine.demo import DemoResult

FIGURES = ("top_1", "top_3")
UNLABELLED = {"web": "Without videos", "adapted": "With unlabelled videos"}


def main() -> int:
    options = parse(DemoOptions, __doc__)
    from attn.engine.demo import demo  # imported after parsing so that --help is fast

    def show(options: DemoOptions) -> int:
        print(report(demo(options)))
        return 0

    return run(show, options)


def report(result: "DemoResult") -> str:
    """Format all results."""
    place, pictures, photographs = result.localisation, result.pictures, result.results["web_images"][0]
    return "\n".join(
        [
            "",
            f"{'method':22}{'labelled videos':>16}{'top-1':>8}{'top-3':>8}",
            *map(row, result.results["methods"]),
            "",
            *sentences(result.results["methods"]),
            f"{place_of_tables(result)}; accuracy of the CNN on held-out photographs: {photographs['value']:.3f}",
            "",
            f"share of the true class's attention inside the true box: {place.share:.3f} (chance {place.chance:.3f})",
            f"share / chance, mean over {place.num_frames} frames of the actions: {place.ratio:.2f}",
            f"frames with attention maps: {pictures[0].parent}/ ({len(pictures)} figures)",
            "",
            "seconds: " + ", ".join(f"{job} {seconds:.0f}" for job, seconds in result.results["seconds"].items()),
            "",
            f"The attention store is {result.store}. To open it:",
            "    import glob, pandas as pd",
            f'    frames = pd.concat(map(pd.read_parquet, glob.glob("{result.store}/part-*.parquet")))',
            '    print(frames[["video_id", "frame", "label"]], frames["maps"].iloc[0].shape)',
        ]
    )


def place_of_tables(result: "DemoResult") -> str:
    """Number of test videos, and the path of the tables with intervals."""
    return f"{result.results['methods'][0]['top_1']['videos']} test videos; intervals are in {result.tables}"


def sentences(methods: list[dict[str, Any]]) -> list[str]:
    """One line per training set, with the accuracy of each method."""
    found = []
    for trained_on in dict.fromkeys(record["trained_on"] for record in methods):
        records = [one for one in methods if one["trained_on"] == trained_on]
        accuracies = ", ".join(f"{one['method']} {one['top_1']['value']:.0%}" for one in records)
        found.append(f"{UNLABELLED.get(trained_on) or labelled(trained_on)}: {accuracies}.")
    return found


def labelled(share: str) -> str:
    """Beginning of a line about methods trained on a share of the labelled videos."""
    return f"With the labels of {int(share)} % of the training videos"


def row(record: dict[str, Any]) -> str:
    """Row of the table for one method."""
    share = "none" if record["trained_on"] in UNLABELLED else f"{int(record['trained_on'])} %"
    return f"{record['method']:22}{share:>16}" + "".join(f"{record[figure]['value']:8.3f}" for figure in FIGURES)


if __name__ == "__main__":
    end(main())
