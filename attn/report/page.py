"""Page of results: one HTML file without references to other files, from pieces in the order of `TITLES`."""

import base64
import io
import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from attn.report.page_blocks import TITLES, Block, Chart, Example, Examples, Note, Piece, Table
from attn.report.page_svg import as_png, as_svg, inline

ROWS_IN_HTML = 50
"""Rows of a table in the HTML itself. All rows of a longer table are indices, so that 13,000 videos open at once."""
NUMBER = re.compile(r"[+\-−]?\d+(\.\d+)?( ?(%|s|points))?( \(.*\))?")
MISSING = ("", "–")


class RunPieces(NamedTuple):
    """Pieces of one run, with the name of the run."""

    name: str
    pieces: Sequence[Piece]


def templates() -> Environment:
    """Return the templates of pages, which escape every text."""
    return Environment(
        loader=PackageLoader("attn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page_html(title: str, runs: Sequence[RunPieces]) -> str:
    """Return the page. Sections without pieces are left out; names of runs are, if there is only one run."""
    several, views = sum(bool(run.name) for run in runs) > 1, _Views()
    sections = [
        {"topic": topic, "title": heading, "runs": shown}
        for topic, heading in TITLES.items()
        if (shown := [views.of_run(run, found, several) for run in runs if (found := _of_topic(run, topic))])
    ]
    return templates().get_template("page.html").render(title=title, sections=sections, values=list(views.cells))


def figure_files(runs: Sequence[RunPieces]) -> dict[str, bytes]:
    """Return every chart as SVG and as PNG, by file name: run, chart, extension."""
    files: dict[str, bytes] = {}
    for run in runs:
        for piece in run.pieces:
            block = piece.block.chart if isinstance(piece.block, Examples) else piece.block
            if isinstance(block, Chart):
                name = file_stem(run.name, block.name, taken=files)
                files[f"{name}.svg"] = as_svg(block.figure, name).encode()
                files[f"{name}.png"] = as_png(block.figure)
    return files


def file_stem(*names: str, taken: Collection[str] = ()) -> str:
    """File name without extension that is valid everywhere; a number is added if it is taken."""
    plain = ".".join(re.sub(r"[^\w+-]+", "_", name, flags=re.ASCII).strip("_")[:80] for name in names)
    numbered = (f"{plain}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (plain, *numbered) if f"{name}.svg" not in taken)


def _of_topic(run: RunPieces, topic: str) -> list[Piece]:
    return [piece for piece in run.pieces if piece.topic == topic]


class _Views:
    """Values of pieces for the template.

    Attributes:
        cells: place of each different cell of the long tables; IDs of videos and names of classes are in several.
    """

    def __init__(self) -> None:
        self.cells: dict[str, int] = {}

    def of_run(self, run: RunPieces, pieces: Sequence[Piece], several: bool) -> dict[str, Any]:
        choices: dict[str, list[dict[str, Any]]] = {}
        for piece in pieces:
            if piece.choice:
                choices.setdefault(piece.choice, []).append(self._block(piece.block, run.name))
        return {
            "name": run.name if several else "",
            "blocks": [self._block(piece.block, run.name) for piece in pieces if not piece.choice],
            "choices": list(choices.items()),
        }

    def _block(self, block: Block, run: str) -> dict[str, Any]:
        if isinstance(block, Table):
            return self._table(block)
        if isinstance(block, Chart):
            svg = inline(block.figure, file_stem(run, block.name), block.title)
            return {"kind": "chart", "svg": svg, "title": block.title, "caption": block.caption}
        if isinstance(block, Note):
            return {"kind": "note", "text": block.text}
        return {"kind": "examples", "side": _side(block), "examples": [_example(one) for one in block.examples]}

    def _table(self, table: Table) -> dict[str, Any]:
        columns = zip(*table.rows, strict=True) if table.rows else [()] * len(table.head)
        return {
            "kind": "table",
            "title": table.title,
            "head": table.head,
            "rows": table.rows[:ROWS_IN_HTML],
            "count": len(table.rows),
            "numeric": [all(cell in MISSING or NUMBER.fullmatch(cell) for cell in column) for column in columns],
            "packed": self._packed(table.rows) if len(table.rows) > ROWS_IN_HTML else None,
        }

    def _packed(self, rows: Sequence[Sequence[str]]) -> str:
        """Rows as lines of indices into the list of different cells."""
        return "\n".join(" ".join(str(self.cells.setdefault(cell, len(self.cells))) for cell in row) for row in rows)


def _example(example: Example) -> dict[str, Any]:
    pictures = [{"src": _data_uri(one.data), "caption": one.caption} for one in example.pictures]
    return {"title": example.title, "pictures": pictures}


def _data_uri(data: bytes) -> str:
    kind = "jpeg" if data.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _side(block: Examples) -> int:
    return Image.open(io.BytesIO(block.examples[0].pictures[0].data)).width
