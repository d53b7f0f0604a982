"""Report: one page about any runs, from the files that they wrote. Nothing is computed again but from stored scores."""

import logging
import posixpath
from collections.abc import Mapping

from attn.commands.report_evaluation import read_evaluation
from attn.commands.report_options import ReportOptions
from attn.commands.report_reproduction import Reproduction
from attn.commands.report_runs import Found, Run, find_runs, read_json
from attn.commands.report_search import read_search
from attn.commands.report_stores import read_one_store
from attn.commands.report_trainings import read_one_training
from attn.errors import UsageError
from attn.report.page import RunPieces, figure_files, page_html
from attn.report.page_blocks import Piece, Table
from attn.report.page_svg import style
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.storage.store_manifest import NAME as MANIFEST
from attn.storage.writable import check_writable

log = logging.getLogger(__name__)

SUFFIXES = (".html", ".htm")


def report(options: ReportOptions) -> int:
    """Write the page, and with `--figures` its charts; return the exit code.

    Raises:
        UsageError: a run is not recognised, runs are about different classes, or an output cannot be written.
    """
    if not options.out.endswith(SUFFIXES):
        raise UsageError(f"--out {options.out}: not an HTML file. Give --out a name that ends in .html.")
    if options.examples < 0:
        raise UsageError(f"--examples {options.examples}: too small. Give 0 or more.")
    for folder in filter(None, (_folder(options.out), options.figures)):
        check_writable(folder)
    runs = find_runs(options.runs)
    stores = {read_json(join(run.url, MANIFEST))["fingerprint"]: run.url for run in runs if run.kind == "store"}
    found = [_read(run, options, stores) for run in runs]
    listed = [[run.name, content.about, shown(run.url)] for run, content in zip(runs, found, strict=True)]
    pieces = [RunPieces(run.name, content.pieces) for run, content in zip(runs, found, strict=True)]
    table = RunPieces("", [Piece("runs", Table(["run", "found", "folder"], listed))])
    page = page_html(f"Results: {', '.join(run.name for run in runs)}", [table, *pieces]).encode()
    if options.figures is not None:
        files = figure_files(pieces)
        for name, data in files.items():
            (Location.at(options.figures) / name).write_atomic(data)
        log.info("%s: %d files of charts", shown(options.figures), len(files))
    Location.at(options.out).write_atomic(page)
    log.info("%s: %.1f MB", shown(options.out), len(page) / 1e6)
    return 0


def _folder(url: str) -> str:
    file = Location.at(url)
    return file.at_path(posixpath.dirname(file.path)).url


def _read(run: Run, options: ReportOptions, stores: Mapping[str, str]) -> Found:
    with style():
        found = _pieces(run, options, stores)
    log.info("%s: %s", shown(run.url), found.about)
    return found


def _pieces(run: Run, options: ReportOptions, stores: Mapping[str, str]) -> Found:
    if run.kind == "reproduction":
        return Reproduction(run, options).found()
    if run.kind == "evaluation":
        return read_evaluation(run, options, stores)
    if run.kind == "search":
        return read_search(run)
    return read_one_training(run) if run.kind == "training" else read_one_store(run)
