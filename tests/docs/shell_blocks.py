"""Find the shell commands of a Markdown page.

A block is fenced as `sh`, `bash` or `console`, or indented and begins with a known program. A
comment before it states what tests do with it:

    <!-- run -->                  it is run in a scratch folder, see test_commands.py
    <!-- run in README.md -->     its commands are those of a page that another test runs
    <!-- not run: REASON -->      it cannot be run by a test, because of the reason

Commands that are not run are parsed, and what they name must exist.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

PROGRAMS = frozenset(
    {
        *("amtool", "curl", "docker", "git", "hadolint", "head", "helm", "hf", "kubectl", "make"),
        *("node", "npm", "oodguard", "oodguard-train", "pip", "printf", "promtool", "pytest"),
        *("python", "python3", "torchrun"),
    }
)
"""Programs with which an indented block begins, if it has commands."""

_FENCE = re.compile(r"^(?P<indent> *)```+(?P<language>\w*)")
_MARK = re.compile(r"^ *<!-- (?P<mark>run|run in [\w./-]+|not run: \S.*?) -->$")
_ASSIGNMENT = re.compile(r"^[A-Z_]+=")
_CONTINUED = re.compile(r"(\\|\|)$")
_OPTIONAL = re.compile(r"\[([^\]\n]*)\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Shell commands of a page.

    Attributes:
        line: The number of its first line.
        text: The commands, without prompts and indentation.
        mark: The comment before it; empty without one.
    """

    line: int
    text: str
    mark: str

    @property
    def commands(self) -> Iterator[list[str]]:
        """The words of every command; the alternatives of an optional part are one word."""
        for line in joined(self.text):
            plain = line
            if line.count("[") > 1 or " [" in line:
                plain = _OPTIONAL.sub(lambda match: match[1].replace("|", ","), line)
            lexer = shlex.shlex(plain, posix=True, punctuation_chars="|&;")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in lexer:
                if set(word) <= set("|&;"):
                    yield words
                    words = []
                else:
                    words.append(word)
            if words:
                yield words


def joined(text: str) -> Iterator[str]:
    """Yield the lines of a script, continued ones as one."""
    start = ""
    for line in text.splitlines():
        line = line.rstrip()  # noqa: PLW2901 - the same line
        if _CONTINUED.search(line):
            start += line.removesuffix("\\") + " "
        elif start or (line.strip() and not line.lstrip().startswith("#")):
            yield start + line
            start = ""


def program(line: str) -> str:
    """Return the program of a command line, without its folder."""
    words = [word for word in line.split() if not _ASSIGNMENT.match(word)]
    return words[0].rpartition("/")[2] if words else ""


def shell_blocks(page: str) -> Iterator[Block]:
    """Yield the shell blocks of a page, from the first to the last."""
    lines = page.splitlines()
    mark, position = "", 0
    while position < len(lines):
        line = lines[position]
        start = position
        position += 1
        if match := _MARK.match(line):
            mark = match["mark"]
            continue
        if fence := _FENCE.match(line):
            body = []
            while position < len(lines) and not lines[position].strip().startswith("```"):
                body.append(lines[position].removeprefix(fence["indent"]))
                position += 1
            position += 1
            if fence["language"] in {"sh", "bash", "console"}:
                yield Block(line=start + 1, text=_commands(body, fence["language"]), mark=mark)
        elif line.startswith("    ") and program(line) in PROGRAMS:
            body = [line.strip()]
            while position < len(lines) and lines[position].startswith("    "):
                body.append(lines[position].strip())
                position += 1
            yield Block(line=start + 1, text="\n".join(body), mark=mark)
        if line.strip():
            mark = ""


def _commands(body: list[str], language: str) -> str:
    """Return the lines of a block; of a `console`, those after a prompt."""
    if language == "console":
        body = [line.removeprefix("$ ") for line in body if line.startswith("$ ")]
    return "\n".join(body)
