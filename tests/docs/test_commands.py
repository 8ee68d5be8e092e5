"""Every shell command of the documentation is run, or checked, or marked with the reason."""

from pathlib import Path

import pytest

from tests.docs.shell_blocks import Block, program, shell_blocks
from tests.docs.shell_check import faults

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "tests/data/README.md"])


def blocks(page: Path) -> list[Block]:
    return list(shell_blocks(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_of_the_page_are_valid(page: Path) -> None:
    found = [
        f"line {block.line}: {fault}"
        for block in blocks(page)
        for words in block.commands
        for fault in faults(words, block.mark)
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_that_another_page_runs_are_those_of_that_page(page: Path) -> None:
    for block in blocks(page):
        if block.mark.startswith("run in "):
            other = (ROOT / block.mark.removeprefix("run in ")).read_text(encoding="utf-8")
            lines = [line.strip() for line in other.splitlines()]
            assert [line for line in block.text.splitlines() if line not in lines] == []


PAGE = """\
text

```sh
oodguard verify \\
  BUNDLE   # why
OODGUARD_ALPHA=0.1 a | b && c
```

<!-- not run: needs a GPU -->

    make gpu

    no command

1. list

    <!-- run -->

    ```console
    $ make demo
    output
    ```
"""


def test_shell_blocks_are_found_with_their_marks() -> None:
    first, second, third = shell_blocks(PAGE)
    assert list(first.commands) == [
        ["oodguard", "verify", "BUNDLE"],
        ["OODGUARD_ALPHA=0.1", "a"],
        ["b"],
        ["c"],
    ]
    assert (first.mark, second.mark, third.mark) == ("", "not run: needs a GPU", "run")
    assert (second.text, third.text) == ("make gpu", "make demo")
    assert (first.line, second.line, third.line) == (3, 11, 19)
    assert program("A=1 .venv/bin/oodguard x") == "oodguard"


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("oodguard serv", "oodguard has no command serv"),
        ("oodguard serve --prot 1", "serve has no option --prot"),
        ("oodguard-train fit x --thread=1", "fit has no option --thread"),
        ("OODGUARD_ALFA=1 oodguard serve", "OODGUARD_ALFA is no setting"),
        ("oodguard predict tests/data/nowhere/*.png", "tests/data/nowhere/*.png does not exist"),
        ("make demos", "the Makefile has no target demos"),
        ("python -m benchmarks.nowhere", "benchmarks.nowhere is no module that can be run"),
        ("docker build -f docker/no.Dockerfile .", "docker/no.Dockerfile does not exist"),
        ("curl localhost:8000/predictions", "the service has no route /predictions"),
        ("docker build .", "docker is not run"),
        ("pip install -e .[gpus]", "there is no extra gpus"),
        ("unknown-program x", "unknown-program is not run: put"),
    ],
)
def test_command_check_finds_the_fault(command: str, fault: str) -> None:
    (block,) = shell_blocks(f"```sh\n{command}\n```\n")
    (words,) = block.commands
    assert any(fault in each for each in faults(words))
