"""Write the generated blocks of all pages: `python -m guide.references` (`make references`)."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from guide.references.blocks import renew
from guide.references.command_reference import command_helps, exit_codes, json_tables
from guide.references.recipe import recipe_keys
from guide.references.service import (
    exposition,
    metrics_table,
    problem_sections,
    settings_table,
)

DOCS = Path(__file__).parents[2] / "docs"

METRICS = DOCS / "metrics.md"

GENERATORS: Mapping[str, Callable[[], str]] = {
    "commands": command_helps,
    "exit-codes": exit_codes,
    "json": json_tables,
    "metrics": lambda: metrics_table(exposition(), METRICS.read_text(encoding="utf-8")),
    "problems": problem_sections,
    "recipe-keys": recipe_keys,
    "settings": settings_table,
}


def outdated_pages(
    generators: Mapping[str, Callable[[], str]] = GENERATORS,
) -> Iterator[tuple[Path, str]]:
    """Yield the pages whose generated blocks differ from the code, with their new text."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        renewed = renew(text, generators)
        if renewed != text:
            yield page, renewed


if __name__ == "__main__":
    for page, text in outdated_pages():
        page.write_text(text, encoding="utf-8")
        print(f"docs/{page.name}: renewed")
