#!/usr/bin/env python
"""Run the whole method on a rendered data set: a few minutes on two idle cores.

Photographs and videos of eight actions are rendered with a domain shift between them. A small CNN is trained on the
photographs. Its attention maps classify the videos, first without any video labels, then with the labels of a few
videos. The demo is a small version of `jobs/reproduce.py --dataset synthetic`.
"""

from typing import TYPE_CHECKING, Any

from attn.commands.cli import end, parse, run
from attn.commands.reproduction.reproduce_options import DemoOptions

if TYPE_CHECKING:
    from attn.commands.demo import DemoResult

FIGURES = ("top_1", "top_3")
UNLABELLED = {"web": "Without any video", "adapted": "With unlabelled videos"}


def main() -> int:
    options = parse(DemoOptions, __doc__)
    from attn.commands.demo import demo  # imported after parsing flags, so that --help is fast

    def show(options: DemoOptions) -> int:
        print(report(demo(options)))
        return 0

    return run(show, options)


def report(result: "DemoResult") -> str:
    """Report of all measurements."""
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
            "",
            f"test videos with their attention: {result.overlays}/*.mp4 and .png, drawn by jobs/predict.py",
            f"the clearest of the test videos in one picture: {result.film}",
            f"maps of the true class beside its box: {pictures[0].parent}/ ({len(pictures)} pictures)",
            f"page of tables, charts and frames: {result.page}; open it in a browser",
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
    """Number of test videos, and the file with confidence intervals."""
    return f"{result.results['methods'][0]['top_1']['videos']} test videos; with intervals in {result.tables}"


def sentences(methods: list[dict[str, Any]]) -> list[str]:
    """One line per amount of labelled videos, with the accuracy of each method."""
    found = []
    for trained_on in dict.fromkeys(record["trained_on"] for record in methods):
        group = [one for one in methods if one["trained_on"] == trained_on]
        right = ", ".join(f"{one['method']} {one['top_1']['value']:.0%}" for one in group)
        found.append(f"{UNLABELLED.get(trained_on) or labelled(trained_on)}: {right}.")
    return found


def labelled(share: str) -> str:
    """Beginning of a line about a share of labelled videos."""
    return f"With the labels of {int(share)} % of the training videos"


def row(record: dict[str, Any]) -> str:
    """Table row of one method."""
    share = "none" if record["trained_on"] in UNLABELLED else f"{int(record['trained_on'])} %"
    return f"{record['method']:22}{share:>16}" + "".join(f"{record[figure]['value']:8.3f}" for figure in FIGURES)


if __name__ == "__main__":
    end(main())
