"""Docstrings, comments and messages follow the rules of CONTRIBUTING that a program can check."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("attn", "jobs", "tune", "bench")
MOST_WORDS = 20
"""Words of a docstring's first sentence."""
_SECTION = re.compile(r"^\s*(Args|Returns|Raises|Yields|Attributes|Source|Differs|Example|Examples):?.*", re.MULTILINE)
_CODE = re.compile(r"``?[^`]*``?|>>>.*|\S+://\S+")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z])")
OPENINGS = re.compile(r"^(What|Whatever|Whoever|Of|Those|The same)\b")
WORDS = re.compile(
    r"\b(anew|nobody|somebody|no one|is no|are no|was no|were no|go on (?:with|from)|goes on (?:with|from)"
    r"|gone on (?:with|from)|lies in|lie in|tells? (?:the user|a user))\b",
    re.IGNORECASE,
)
MISSING_OWNER = re.compile(r"^\s+\w+: of (?!\w+ (?:by|are|is)\b)", re.MULTILINE)


def files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def faults(path: Path) -> Iterator[str]:
    """One line per broken rule: where, which text, what is wrong."""
    source = path.read_text()
    for line, text in docstrings(source):
        prose = _CODE.sub("x", text)
        first = _SENTENCE_END.split(" ".join(prose.partition("\n\n")[0].split()))[0]
        if len(first.split()) > MOST_WORDS:
            yield f"{line}: first sentence of {len(first.split())} words: {first}"
        if found := MISSING_OWNER.search(text):
            yield f"{line}: an attribute that begins with of: {found[0].strip()}"
        yield from _in_prose(line, prose)
    for line, text in comments_and_messages(source):
        yield from _in_prose(line, _CODE.sub("x", text))


def _in_prose(line: int, prose: str) -> Iterator[str]:
    for sentence in _SENTENCE_END.split(" ".join(_SECTION.sub(".", prose).split())):
        if found := OPENINGS.match(sentence.strip(" .")):
            yield f"{line}: sentence that opens with {found[0]}: {sentence[:80]}"
        if found := WORDS.search(sentence):
            yield f"{line}: {found[0]!r}: {sentence[:80]}"


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Docstrings of modules, classes, functions and attributes, with the lines that they begin on."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for child in body if isinstance(body, list) else []:
            value = child.value if isinstance(child, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield child.lineno, value.value


def comments_and_messages(source: str) -> Iterator[tuple[int, str]]:
    """Runs of comment lines, each as one text; and strings of two words or more that are not docstrings."""
    block, last = [], -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if block and token.start[0] != last + 1:
                yield last, " ".join(block)
                block = []
            block.append(token.string.lstrip("# "))
            last = token.start[0]
    if block:
        yield last, " ".join(block)
    docs = {line for line, _ in docstrings(source)}
    for node in ast.walk(ast.parse(source)):
        value = node.value if isinstance(node, ast.Constant) and node.lineno not in docs else None
        if isinstance(value, str) and " " in value.strip():
            yield node.lineno, value


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_source_is_in_plain_english(path: Path) -> None:
    assert not list(faults(path))


@pytest.mark.parametrize(
    "source",
    [
        '"""What a store holds."""',
        '"""Rows of a store.\n\nOf two rows the later one counts."""',
        'def f():\n    """Opens it.\n\n    Args:\n        url: of the store.\n    """',
        "# Nobody reads it anew.\nx = 1",
        'raise ValueError("there is no one here")',
        '"""' + "word " * 21 + '."""',
    ],
)
def test_a_broken_rule_is_found(source: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(source)
    assert list(faults(tmp_path / "broken.py"))


def test_plain_source_passes(tmp_path: Path) -> None:
    source = '"""Rows of a store.\n\nArgs:\n    url: URL of the store.\n"""\n# The later row of two is kept.\n'
    (tmp_path / "plain.py").write_text(source)
    assert not list(faults(tmp_path / "plain.py"))


if __name__ == "__main__":  # python tests/docs/test_plain_english.py attn/video
    for path in sorted(path for folder in sys.argv[1:] for path in Path(folder).rglob("*.py")):
        for fault in faults(path):
            sys.stdout.write(f"{path}:{fault}\n")
