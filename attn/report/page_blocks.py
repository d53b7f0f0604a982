"""Content of a page of results: tables, charts, pictures and notes, without any layout."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Table:
    """Table of plain text.

    Attributes:
        head: names of the columns.
        rows: cells of each row. A column whose cells all begin with a number is sorted by it.
        title: title; empty for none.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Chart:
    """Drawn chart.

    Attributes:
        name: name of its file for `--figures`, without extension, unique within a run.
        title: title, also read aloud in place of the chart.
        figure: the drawing, made within `attn.report.page_svg.style`.
        caption: facts that the chart needs, such as numbers of videos.
    """

    name: str
    title: str
    figure: Figure
    caption: str = ""


class Picture(NamedTuple):
    """Picture as the bytes of a JPEG or PNG, and its caption."""

    data: bytes
    caption: str


@dataclasses.dataclass(frozen=True)
class Example:
    """A few pictures of one frame beside each other, under a title."""

    title: str
    pictures: Sequence[Picture]


@dataclasses.dataclass(frozen=True)
class Examples:
    """Frames with their maps, and the same as a chart for `--figures`."""

    examples: Sequence[Example]
    chart: Chart


@dataclasses.dataclass(frozen=True)
class Note:
    """Paragraph of plain text."""

    text: str


Block = Table | Chart | Examples | Note

Topic = Literal[
    "runs", "methods", "shares", "gains", "frames", "confusion", "precision", "videos", "training", "search", "stores"
]
TITLES: dict[Topic, str] = {
    "runs": "Runs",
    "methods": "Methods",
    "shares": "Accuracy by share of the training videos",
    "gains": "Classes that gain most over the CNN",
    "frames": "Classifier wrong, attention right",
    "confusion": "Confusion",
    "precision": "Average precision by class",
    "videos": "Videos",
    "training": "Trainings",
    "search": "Search for settings",
    "stores": "Stores",
}
"""Sections of the page, in order."""


class Piece(NamedTuple):
    """Block of a section.

    Attributes:
        topic: section that it belongs to.
        block: content.
        choice: label of the block in a list of which the page shows one at a time; empty to show it always.
    """

    topic: Topic
    block: Block
    choice: str = ""
