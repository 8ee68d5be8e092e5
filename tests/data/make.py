"""Draw the small committed test images from Parquet tables of the full data sets.

    python tests/data/make.py data

Reads `cifar10_test`, `gtsrb_train`, `gtsrb_test`, `aux_tinyimagenet`, `ood_textures`,
`cifar100_test` and `ood_hands` (each `<folder>/<name>.parquet` with an `image` and a `label`
column) and replaces the image folders next to this file. The seed alone decides which images
are taken. Tests never run it.
"""

import argparse
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

HERE = Path(__file__).resolve().parent
SEED = 20260
PER_CLASS = 20
SIGNS = {"priority_road": 12, "yield": 13, "stop": 14, "no_entry": 17}  # official GTSRB classes
PER_SIGN = {"train": 60, "test": 15}
UNLABELLED = {
    "outliers": ("aux_tinyimagenet", 120),
    "textures": ("ood_textures", 24),
    "cifar100": ("cifar100_test", 24),
    "hands": ("ood_hands", 16),
}


def read(folder: Path, name: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a table's rows that no other data set repeats, and its class names."""
    table = pq.read_table(folder / f"{name}.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    rows = [
        {"index": index, **row}
        for index, row in enumerate(table.to_pylist())
        if not row.get("dup_of_cifar10", False)
    ]
    return rows, features["label"]["names"]


def draw(
    rows: list[dict[str, Any]], count: int, generator: np.random.Generator
) -> list[dict[str, Any]]:
    """Take `count` different rows at random, in the table's order."""
    chosen = np.sort(generator.choice(len(rows), size=count, replace=False))
    return [rows[position] for position in chosen]


def save(rows: list[dict[str, Any]], folder: Path) -> None:
    """Write each row's pixels, unchanged, as `<row number in the table>.png`."""
    folder.mkdir(parents=True)
    for row in rows:
        with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
            image.convert("RGB").save(folder / f"{row['index']:05d}.png", optimize=True)


def main() -> None:
    """Replace every image folder next to this file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tables", type=Path, help="folder that holds the Parquet tables")
    tables = parser.parse_args().tables
    generator = np.random.default_rng(SEED)
    for name in ("cifar10", "signs", *UNLABELLED):
        shutil.rmtree(HERE / name, ignore_errors=True)
    rows, classes = read(tables, "cifar10_test")
    for label, name in enumerate(classes):
        of_class = [row for row in rows if row["label"] == label]
        save(draw(of_class, PER_CLASS, generator), HERE / "cifar10" / name)
    for name, (table, count) in UNLABELLED.items():
        save(draw(read(tables, table)[0], count, generator), HERE / name)
    # Last, so that the draws above stay what they were before there were signs.
    for split, count in PER_SIGN.items():
        rows, _ = read(tables, f"gtsrb_{split}")
        for name, label in SIGNS.items():
            of_class = [row for row in rows if row["label"] == label]
            save(draw(of_class, count, generator), HERE / "signs" / split / name)


if __name__ == "__main__":
    main()
