"""Replace the generated blocks of a page."""

import re
from collections.abc import Callable, Mapping

_BLOCK = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[a-z-]+) -->\n\n)(?P<text>.*?)(?P<end>\n<!-- end -->)",
    re.DOTALL,
)

# Texts of the code name pages by their path in the repository.
_PAGE = re.compile(r"docs/(?P<target>(?P<name>[a-z0-9-]+)\.md(?:#[a-z0-9-]+)?)")


def renew(page: str, generators: Mapping[str, Callable[[], str]]) -> str:
    """Return a page with the current text of its generated blocks.

    Args:
        page: The Markdown text. A block is between `<!-- generated: NAME -->` and `<!-- end -->`.
        generators: Return the text of a block, by name. Other blocks stay as they are.
    """

    def new_block(match: re.Match[str]) -> str:
        if match["name"] not in generators:
            return match[0]
        text = generators[match["name"]]()
        return f"{match['begin']}{text.rstrip()}\n{match['end']}"

    return _BLOCK.sub(new_block, page)


def linked(text: str) -> str:
    """Return a text of the code in one line, with links to the pages that it names."""
    return _PAGE.sub(r"[\g<name>](\g<target>)", " ".join(text.split()))


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)
