"""The pages say what is so: their links lead somewhere, and the scripts take the command lines that they show."""

import dataclasses
import re
import runpy
import shlex
from pathlib import Path

import pytest

from attn.commands.cli import chosen, parse

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*(path for path in sorted(ROOT.glob("*.md"))), *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]


def anchors(text: str) -> set[str]:
    """Anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """Relative links of a page to files or headings that are not there."""
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            dead.append(link)
    return dead


def commands(text: str) -> list[str]:
    """Command lines of the project's scripts in the code blocks of a page, with its shell variables put in."""
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", text, re.DOTALL)).replace("\\\n", " ")
    for name, value in re.findall(r"\b([A-Z]+)=(\S+)", blocks):
        blocks = blocks.replace(f"${name}", value)
    return re.findall(r"python ((?:jobs|tune)/.*)$", blocks, re.MULTILINE)


def check(command: str) -> None:
    """Parses a command line as its script would."""
    script, *flags = [word for word in shlex.split(command, comments=True) if word != "…"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend((ROOT / script).parent)  # as for a script that is run
        names = runpy.run_path(str(ROOT / script))
    (given,) = re.findall(r"parse\((.+), __doc__\)", (ROOT / script).read_text())
    choice = re.fullmatch(r'chosen\("(.+)", (\w+)\)', given)
    options = chosen(choice[1], names[choice[2]], flags) if choice else names[given]
    if "--config" in flags:  # the file that it names would be read
        del flags[flags.index("--config") : flags.index("--config") + 2]
    assert dataclasses.is_dataclass(parse(options, None, flags))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    assert dead_links(page) == []


def test_a_dead_link_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One\n[a](page.md#one) [b](other.md) [c](#two) [d](https://example.com/x)\n")
    assert dead_links(page) == ["other.md", "#two"]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_the_scripts_take_the_command_lines(page):
    for command in commands(page.read_text()):
        check(command)


def test_a_wrong_flag_is_noticed():
    with pytest.raises(SystemExit):
        check("jobs/evaluate.py --shop store/ --split a.txt --out b/")


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
