"""Write text of users in Markdown and on terminals: escaped text, code spans, tables, numbers."""

import re
from collections.abc import Sequence

from oodguard.models.names import escape_control_characters

# An underscore within a word does not start emphasis, so `speed_limit` stays readable.
_MARKUP = re.compile(r"[\\`*\[\]~]|(?<![^\W_])_|_(?![^\W_])")
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def escape_markdown(text: str) -> str:
    """Return Markdown that renders as this text: in one line, without markup and HTML."""
    escaped = _MARKUP.sub(r"\\\g<0>", escape_control_characters(text))
    return escaped.translate(_HTML)


def code_span(text: str) -> str:
    """Return a text as a code span; the fence is longer than every run of backticks in it."""
    fence = _fence(text, 1)
    padding = " " if "`" in text else ""
    return f"{fence}{padding}{escape_control_characters(text)}{padding}{fence}"


def code_block(text: str, language: str) -> str:
    """Return lines as a fenced code block."""
    fence = _fence(text, 3)
    return f"{fence}{language}\n{text.strip()}\n{fence}\n"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown cells, with vertical bars escaped; the first row is the head."""
    head, *body = rows
    escaped = ([cell.replace("|", r"\|") for cell in row] for row in (head, *body))
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    return "\n".join((lines[0], f"| {' | '.join(['---'] * len(head))} |", *lines[1:]))


def percent(fraction: float) -> str:
    """Write a fraction as a percentage of at most one decimal."""
    return f"{100 * fraction:.1f}".removesuffix(".0") + " %"


def share(value: float) -> str:
    """Write a fraction with three decimals."""
    return f"{value:.3f}".removeprefix("0")


def budget(epsilon_255: float) -> str:
    """Write an attack budget; 0 is clean."""
    return f"{epsilon_255:g}/255" if epsilon_255 else "clean"


def _fence(text: str, shortest: int) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(shortest, longest + 1)
