from pathlib import Path

from oodguard.training.config.recipe import parse_recipe

TEXT = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_training_page_recipe_is_valid() -> None:
    (block,) = (part.partition("```")[0] for part in TEXT.split("```toml\n")[1:])
    parse_recipe(block, origin="docs/training.md")
