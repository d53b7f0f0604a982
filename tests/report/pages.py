"""Pages read back with Python's own HTML parser."""

import dataclasses
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "img", "input", "br", "hr"}


@dataclasses.dataclass
class Node:
    """Element with its attributes, children and own text."""

    tag: str
    attributes: dict[str, str | None]
    children: list["Node"] = dataclasses.field(default_factory=list)
    text: str = ""

    def all(self, tag: str = "", **wanted: str) -> list["Node"]:
        """Elements below this one, in order, with the tag and the attributes; `class_` is one of the classes."""
        return [node for node in self._below() if _fits(node, tag, wanted)]

    def one(self, tag: str = "", **wanted: str) -> "Node":
        (found,) = self.all(tag, **wanted)
        return found

    @property
    def words(self) -> str:
        """Text of this element and of all below."""
        return " ".join(" ".join([self.text, *(child.words for child in self.children)]).split())

    def _below(self) -> Iterator["Node"]:
        for child in self.children:
            yield child
            yield from child._below()


def _fits(node: Node, tag: str, wanted: dict[str, str]) -> bool:
    attributes = dict(node.attributes)
    for name, value in wanted.items():
        if name == "class_":
            if value not in (attributes.get("class") or "").split():
                return False
        elif attributes.get(name) != value:
            return False
    return tag in ("", node.tag)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        self._open[-1].text += data


def parsed(html: str) -> Node:
    """Parse a page whose elements are all closed in order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader._open == [reader.root]
    return reader.root


def section(html: str, topic: str) -> Node:
    """Section of a page."""
    return parsed(html).one("section", id=topic)


def table_of(node: Node, number: int = 0) -> list[list[str]]:
    """Cells of a table below a node, the header first."""
    table: Any = node.all("table")[number]
    rows = [[cell.words for cell in (*row.all("th"), *row.all("td"))] for row in table.all("tr")]
    return [row for row in rows if row]
