"""Flags of jobs/report.py."""

import dataclasses
import shlex


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    runs: tuple[str, ...]
    """Output folders of evaluate, reproduce, demo, search, precompute or a training, local or s3://; each is recognised
    by its files."""
    out: str
    """HTML file to write, local or s3://. It needs no other file and no network."""
    figures: str | None = None
    """Folder for every chart as SVG and as PNG, for a paper (default: none)."""
    examples: int = 12
    """Maximum number of frames to show that the CNN gets wrong and attention right, per store; 0 for none. The maps of
    all test videos are read to find them."""
    videos: str | None = None
    """Videos of the stores, if they have moved since precompute."""


def page_command(out: str) -> str:
    """Command that makes a page of a run in its own folder."""
    page = f"{out.rstrip('/')}/report.html"
    return f"python jobs/report.py --runs {shlex.quote(out)} --out {shlex.quote(page)}"
