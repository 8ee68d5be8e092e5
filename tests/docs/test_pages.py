"""Links of all pages lead to existing files and sections; tables list all names of the code."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from oodguard.models.bundle import MAX_BYTES
from oodguard.models.networks import NETWORK_NAMES
from oodguard.models.scores import SCORE_NAMES
from oodguard.models.scores.base import ScoreOptions
from oodguard.training.config.methods import METHODS
from oodguard.training.detectors import DETECTORS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("[!r]*/*.md"), *DOCS.glob("runbooks/*")]
LINK = re.compile(r"\]\(([^)\s]+)\)")


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings, as GitHub generates them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return frozenset(heading.replace(" ", "-") for heading in plain)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_page_links_lead_to_existing_files_and_sections(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize(
    ("page", "form", "names"),
    [
        ("bundle.md", "| `{}` |", [*MAX_BYTES, *SCORE_NAMES]),
        ("detectors.md", "| `{}` |", [*SCORE_NAMES, *DETECTORS]),
        ("detectors.md", "`{}`", [*ScoreOptions.model_fields]),
        ("training.md", "| `{}` |", [*METHODS]),
        ("training.md", "`{}`", [*NETWORK_NAMES]),
    ],
)
def test_page_names_every_file_score_option_method_and_network(
    page: str, form: str, names: list[str]
) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert [name for name in names if form.format(name) not in text] == []


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *DOCS.glob("*.md")], ids=lambda page: page.name
)
def test_page_with_a_benchmark_states_that_it_runs_in_the_root_of_a_clone(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "python -m benchmarks" not in text or "in the root of a clone" in text.lower()


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_page_names_existing_python_files(page: str) -> None:
    folders = (
        "client",
        "models",
        "service",
        "sources",
        "training",
        "tests",
        "benchmarks",
        "src",
        "docker",
        "guide",
    )
    files = [file.as_posix() for folder in folders for file in (ROOT / folder).rglob("*.py")]
    named = set(re.findall(r"`([a-z_/0-9]+\.py)`", (ROOT / page).read_text(encoding="utf-8")))
    assert [name for name in named if not any(file.endswith(f"/{name}") for file in files)] == []


@cache
def defined_names() -> frozenset[str]:
    """Return the names that the code defines: `name`, and `Class.name` for members of a class."""
    names: set[str] = set()
    for folder in (
        "client",
        "models",
        "service",
        "sources",
        "src",
        "training",
        "tests",
        "docker",
        "guide",
    ):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    case ast.ClassDef():
                        members = {name for each in node.body for name in _names_of(each)}
                        names |= {node.name, *members}
                        names |= {f"{node.name}.{member}" for member in members}
                    case ast.Module():
                        names |= {name for each in node.body for name in _names_of(each)}
    return frozenset(names)


def _names_of(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            arguments = ", ".join(each.arg for each in statement.args.args if each.arg != "self")
            return [name, f"{name}({arguments})"]
        case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            return [each.id for each in targets if isinstance(each, ast.Name)]
    return []


def test_contributing_names_existing_identifiers() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    ten_lines = text.partition("## Add a score")[2]
    code = set(re.findall(r"`([A-Za-z_]\w*(?:\.\w+)?(?:\([a-z_, ]*\))?)`", ten_lines))
    files = {name for name in code if name.endswith((".py", ".md"))}
    recipe_keys = {"attack.kind"}
    named = {name for name in code - files - recipe_keys if re.search(r"[A-Z(]|\w_", name)}
    assert "SuiteAttack.kind" in named
    assert sorted(named - defined_names()) == []


def test_architecture_lists_the_layers_of_the_contracts() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    for contract in contracts:
        if contract["type"] == "layers":
            assert "".join(f"    {layer}\n" for layer in contract["layers"]) in text
