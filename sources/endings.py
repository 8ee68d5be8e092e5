"""Endings of file names, and the paths that are tables."""

import os
from pathlib import Path

from oodguard.models.names import text_of

TABLE_ENDINGS = frozenset({".parquet", ".pq", ".csv", ".tsv", ".jsonl", ".ndjson"})

DOCUMENT_ENDINGS = frozenset({"", ".md", ".rst", ".txt"})


def ending(name: str) -> str:
    """Return the ending of a file's name in lower case, with its dot."""
    return text_of(os.path.splitext(name)[1].lower())  # noqa: PTH122  (a string, many times)


def is_table(path: Path) -> bool:
    """Return whether a path is a file, or a folder of tables without sub-folders and pictures.

    A README and a licence may be in the folder, as in exports of the Hugging Face hub.
    """
    if not path.is_dir():
        return True
    visible = [each for each in path.iterdir() if not each.name.startswith(".")]
    found = {ending(each.name) for each in visible}
    return (
        all(each.is_file() for each in visible)
        and bool(found & TABLE_ENDINGS)
        and found <= TABLE_ENDINGS | DOCUMENT_ENDINGS
    )
