"""Helpers that change and parse the recipe of the tests."""

from oodguard.training.config.recipe import Recipe, parse_recipe


def without_tables(text: str, *tables: str) -> str:
    """Return a recipe's text without the tables of these names."""
    headers = tuple(f"[{table}]" for table in tables)
    return "\n\n".join(part for part in text.split("\n\n") if not part.startswith(headers))


def parsed(text: str) -> Recipe:
    """Return the parsed recipe; errors name it `tiny.toml`."""
    return parse_recipe(text, origin="tiny.toml")
