"""Parse a page into a tree of elements with the standard library's parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"br", "col", "img", "meta"}


@dataclass
class Node:
    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: list["Node | str"] = field(default_factory=list)

    @property
    def children(self) -> list["Node"]:
        return [each for each in self.content if isinstance(each, Node)]

    def every(self, name: str, class_: str = "") -> list["Node"]:
        found: list[Node] = []
        for child in self.children:
            classes = child.attributes.get("class", "").split()
            if child.name == name and set(class_.split()) <= set(classes):
                found.append(child)
            found += child.every(name, class_)
        return found

    def all(self) -> list["Node"]:
        return [each for child in self.children for each in (child, *child.all())]

    @property
    def text(self) -> str:
        return "".join(each.text if isinstance(each, Node) else each for each in self.content)


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Node("document")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {key: value or "" for key, value in attrs})
        self.open[-1].content.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        node = self.open.pop()
        assert node.name == tag, f"</{tag}> closes <{node.name}>"

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)


def parse(markup: str) -> Node:
    tree = _Tree()
    tree.feed(markup)
    tree.close()
    (root,) = tree.open
    return root
