"""A policy file that is written or replaced during reloads is used whole or not at all."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oodguard.service.errors import PolicyError
from oodguard.service.registry.policy_file import read_policy
from oodguard.service.settings import Settings

# Longer than one buffer, so that a write consists of several.
PADDING = "".join(f"# comment {n}\n" for n in range(2_000))

PIECE = 4_096

TEXTS = {alpha: f"[models.one]\n{PADDING}alpha = {alpha}\n" for alpha in (0.05, 0.02)}


def rewrite(path: Path, text: str, _: int) -> None:
    """Write in place, in pieces that end within lines, as a copy to a full disk would."""
    with path.open("w", encoding="utf-8", buffering=1) as file:
        for start in range(0, len(text), PIECE):
            file.write(text[start : start + PIECE])
            file.flush()


def rename(path: Path, text: str, _: int) -> None:
    new = path.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def relink(path: Path, text: str, number: int) -> None:
    """Replace a link to a file, as Kubernetes does."""
    target = path.with_name(f"policy-{number % 2}")
    target.unlink(missing_ok=True)
    target.write_text(text, encoding="utf-8")
    link = path.with_suffix(".link")
    link.symlink_to(target.name)
    link.replace(path)


@contextlib.contextmanager
def writing(path: Path, write: Callable[[Path, str, int], None]) -> Iterator[None]:
    done = threading.Event()

    def work() -> None:
        number = 0
        while not done.is_set():
            for text in TEXTS.values():
                number += 1
                write(path, text, number)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize("write", [rename, relink, rewrite])
def test_swapped_policy_is_read_as_one_version_or_not_at_all(
    tmp_path: Path, write: Callable[[Path, str, int], None]
) -> None:
    # A piece that ends with a line looks like a complete file.
    assert all(
        text[k - 1] != "\n" for text in TEXTS.values() for k in range(PIECE, len(text), PIECE)
    )
    path = tmp_path / "policy.toml"
    write(path, TEXTS[0.05], 0)
    settings = Settings(policy=path)
    read: list[object] = []
    refused = 0
    give_up = time.monotonic() + 60
    with writing(path, write):
        # Only a file that is written in place is ever incomplete.
        while len(set(read)) < len(TEXTS) or (write is rewrite and not refused):
            assert time.monotonic() < give_up, (set(read), refused)
            try:
                policy = read_policy(settings)
            except PolicyError:
                refused += 1
                continue
            assert policy.found
            read.append(policy.document.models["one"].alpha)
    assert set(read) == set(TEXTS)
    assert write is rewrite or not refused
