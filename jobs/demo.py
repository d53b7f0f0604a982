#!/usr/bin/env python
"""The whole method on a data set that it renders itself: some minutes on two idle cores.

Photographs and videos of eight actions are rendered with a domain shift between them. A small CNN learns the
photographs; the attention maps of every class of the videos' frames decide what they show, first without a single video
label, then with those of a few videos: `jobs/reproduce.py --dataset synthetic` in small.
"""

from typing import TYPE_CHECKING, Any

from attn.engine.cli import end, parse, run
from attn.engine.reproduction.reproduce_options import DemoOptions

if TYPE_CHECKING:
    from attn.engine.demo import DemoResult

FIGURES = ("top_1", "top_3")
UNLABELLED = {"web": "Without any video", "adapted": "With videos that have no label"}


def main() -> int:
    options = parse(DemoOptions, __doc__)
    from attn.engine.demo import demo  # after the flags: --help answers at once

    def show(options: DemoOptions) -> int:
        print(report(demo(options)))
        return 0

    return run(show, options)


def report(result: "DemoResult") -> str:
    """What was measured, whichever way it fell."""
    place, pictures, photographs = result.localisation, result.pictures, result.results["web_images"][0]
    return "\n".join(
        [
            "",
            f"{'method':22}{'labelled videos':>16}{'top-1':>8}{'top-3':>8}",
            *map(row, result.results["methods"]),
            "",
            *sentences(result.results["methods"]),
            f"{place_of_tables(result)}; the CNN on photographs it has not seen: {photographs['value']:.3f}",
            "",
            f"share of the true class's attention inside the true box: {place.share:.3f} (chance {place.chance:.3f})",
            f"share / chance, mean over {place.num_frames} frames of the actions: {place.ratio:.2f}",
            f"maps drawn over their frames: {pictures[0].parent}/ ({len(pictures)} pictures)",
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
    """How many videos stand behind the numbers, and where their intervals are."""
    return f"{result.results['methods'][0]['top_1']['videos']} test videos; with intervals in {result.tables}"


def sentences(methods: list[dict[str, Any]]) -> list[str]:
    """One line for each amount of help from videos: how many test videos every method gets right."""
    found = []
    for trained_on in dict.fromkeys(record["trained_on"] for record in methods):
        mine = [one for one in methods if one["trained_on"] == trained_on]
        right = ", ".join(f"{one['method']} {one['top_1']['value']:.0%}" for one in mine)
        found.append(f"{UNLABELLED.get(trained_on) or labelled(trained_on)}: {right}.")
    return found


def labelled(share: str) -> str:
    """How a line begins that is about a share of labelled videos."""
    return f"With the labels of {int(share)} % of the training videos"


def row(record: dict[str, Any]) -> str:
    """One method's line of the table."""
    share = "none" if record["trained_on"] in UNLABELLED else f"{int(record['trained_on'])} %"
    return f"{record['method']:22}{share:>16}" + "".join(f"{record[figure]['value']:8.3f}" for figure in FIGURES)


if __name__ == "__main__":
    end(main())
