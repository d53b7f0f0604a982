"""The page in a browser: it opens without an error, sorts, filters and chooses."""

import shutil
import subprocess
from pathlib import Path

import pytest

from attn.report.page import ROWS_IN_HTML, RunPieces, page_html
from attn.report.page_blocks import Note, Piece, Table
from tests.report.pages import parsed, section, table_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ACT = """<script>
const [first, second] = document.querySelectorAll(".table");
const heads = first.querySelectorAll("th button");
heads[1].click();
const filter = second.querySelector("input");
filter.value = "hug 1";
filter.dispatchEvent(new Event("input"));
const select = document.querySelector("select");
select.value = "1";
select.dispatchEvent(new Event("change"));
</script>"""


@pytest.fixture(scope="module")
def browser() -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no browser: apt-get install chromium")
    return found


def opened(browser: str, path: Path) -> tuple[str, str]:
    """Document after its scripts have run, and lines of the console."""
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0"]
    command = [browser, *flags, f"--user-data-dir={path.parent / 'profile'}", "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_tables_sort_and_filter_and_choices_show_one(browser, tmp_path):
    short = Table(
        ["class", "top-1, %"], [["Hug", "9.5"], ["Kick", "75.0 (70.0 to 80.0)"], ["<b>", "–"], ["Wave", "10"]]
    )
    count = ROWS_IN_HTML + 100
    long = Table(["video", "class"], [[f"v{i:03}", ("Hug", "<i>Kick</i>")[i % 2]] for i in range(count)])
    pieces = [
        Piece("methods", short),
        Piece("videos", long),
        *(Piece("confusion", Note(name), name) for name in ("CNN", "UnAtt")),
    ]
    path = tmp_path / "page.html"
    path.write_text(page_html("Results", [RunPieces("run", pieces)]).replace("</body>", f"{ACT}</body>"))
    html, console = opened(browser, path)
    assert console == ""
    assert [row[0] for row in table_of(section(html, "methods"))[1:]] == ["Kick", "Wave", "Hug", "<b>"]
    assert section(html, "methods").all("th")[1].attributes["aria-sort"] == "descending"
    wanted = [[f"v{i:03}", "Hug"] for i in range(0, count, 2) if "1" in f"{i:03}"]
    assert table_of(section(html, "videos"))[1:] == wanted
    assert section(html, "videos").one("span", class_="count").words == f"{len(wanted)} of {count} rows"
    hidden = ["hidden" in option.attributes for option in section(html, "confusion").all("div", class_="option")]
    assert hidden == [True, False]
    assert len(parsed(html).all("script")) == 4
