"""Names with markup, HTML and control characters, as a Markdown parser reads them."""

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from oodguard.training.report.markdown import (
    code_block,
    code_span,
    escape_markdown,
    markdown_table,
)

NAMES = [
    "speed_limit (20)",
    "a|b",
    "a\\|b\\",
    "<script>alert('x')</script>",
    "&lt; & ~~no~~",
    "*bold* _it_ `code` [link](http://localhost)",
]


def _cells(markdown: str) -> list[Token]:
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    return [each for each in tokens if each.type == "inline"]


@pytest.mark.parametrize("name", NAMES)
def test_markdown_table_renders_a_name_as_it_is(name: str) -> None:
    table = markdown_table([["set", "n"], [escape_markdown(name), "1"]])
    *_, cell, number = _cells(table)
    assert number.content == "1"
    assert cell.children is not None
    assert {child.type for child in cell.children} <= {"text", "text_special"}
    assert "".join(child.content for child in cell.children) == name


@pytest.mark.parametrize("text", ["rm 'a|b'", "`", "a ``b`` `c`", "<b> & *c*"])
def test_markdown_table_renders_a_code_span_as_it_is(text: str) -> None:
    *_, cell = _cells(markdown_table([["command"], [code_span(text)]]))
    assert cell.children is not None
    assert [(child.type, child.content) for child in cell.children] == [("code_inline", text)]


def test_markdown_escapes_control_characters() -> None:
    text = "new\nline\x1b[31m"
    assert escape_markdown(text) == r"new\\nline\\x1b\[31m"
    assert code_span(text) == r"`new\nline\x1b[31m`"


def test_markdown_code_block_contains_fences() -> None:
    (block,) = MarkdownIt("commonmark").parse(code_block("# ```\n```\nseed = 3\n", "toml"))
    assert (block.info, block.content) == ("toml", "# ```\n```\nseed = 3\n")
