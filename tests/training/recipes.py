"""The recipe of a run on a small real data set, and helpers that change and parse it."""

from pathlib import Path

from PIL import Image, ImageOps

from oodguard.training.config.recipe import Recipe, parse_recipe

DATA = Path(__file__).parents[1] / "data"

RECIPE = f"""
name = "tiny"
method = "aloe"
seed = 3
default_score = "msp"

[network]
name = "resnet8"
width = 4

[input]
height = 32
width = 32

[inliers]
folder = "{DATA / "cifar10"}"
validation = 20
calibration = 60

[outliers]
folder = "{DATA / "outliers"}"
blur = 0.5

[attack]
epsilon_255 = 2

[schedule]
epochs = 2
batch_size = 30
precision = "float32"

[evaluation.test]
folder = "{DATA / "cifar10"}"

[evaluation.outliers]
textures = {{ folder = "{DATA / "textures"}" }}
"""


def with_network(text: str, name: str) -> str:
    """Return a recipe's text with another network, which has no width."""
    return text.replace('"resnet8"\nwidth = 4', f'"{name}"')


def with_own_test_set(text: str, folder: Path) -> str:
    """Return a recipe's text whose test set is written to `folder`: the inliers, inverted."""
    for path in (DATA / "cifar10").rglob("*.png"):
        copy = folder / path.relative_to(DATA / "cifar10")
        copy.parent.mkdir(parents=True, exist_ok=True)
        ImageOps.invert(Image.open(path).convert("RGB")).save(copy)
    before, _, after = text.rpartition(str(DATA / "cifar10"))
    return f"{before}{folder}{after}"


def without_tables(text: str, *tables: str) -> str:
    """Return a recipe's text without the tables of these names."""
    headers = tuple(f"[{table}]" for table in tables)
    return "\n\n".join(part for part in text.split("\n\n") if not part.startswith(headers))


def parsed(text: str) -> Recipe:
    """Return the parsed recipe; errors name it `tiny.toml`."""
    return parse_recipe(text, origin="tiny.toml")
