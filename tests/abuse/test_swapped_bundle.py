"""A bundle that is replaced file by file never opens as a mixture of two versions."""

import contextlib
import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from oodguard.models.bundle import MAX_BYTES, Bundle, open_bundle, write_bundle
from oodguard.models.errors import BundleError
from tests.conftest import build_bundle

FILES = tuple(sorted(MAX_BYTES))
ORDERS = list(itertools.permutations(FILES))


@pytest.fixture
def versions(tmp_path: Path) -> tuple[Path, Path]:
    """Two bundles that differ in every file."""
    old, new = tmp_path / "old", tmp_path / "new"
    build_bundle(old, model=b"the old graph", n_calibration=300)
    build_bundle(new, model=b"the new graph, of another length", n_calibration=301)
    # The builder writes the same evaluation and card to both.
    made = open_bundle(new)
    write_bundle(
        new,
        description=made.manifest,
        model=made.model,
        calibration=made.rows,
        evaluation={"accuracy": 0.75},
        card="# another\n",
    )
    for name in FILES:
        assert (old / name).read_bytes() != (new / name).read_bytes()
    return old, new


def whole(bundle: Bundle) -> tuple[str, bytes, int, object]:
    """Return all parts of a bundle, for comparison with the two versions."""
    scores = len(bundle.calibration["energy"])
    return bundle.sha256, bundle.model, scores, dict(bundle.evaluation)


@pytest.mark.parametrize("order", ORDERS[:: len(ORDERS) // 24], ids="-".join)
def test_swapped_bundle_does_not_open_until_every_file_is_replaced(
    versions: tuple[Path, Path], tmp_path: Path, order: tuple[str, ...]
) -> None:
    old, new = versions
    served = tmp_path / "served"
    shutil.copytree(old, served)
    for name in order[:-1]:
        content = (new / name).read_bytes()
        for end in (0, 1, len(content) // 2, len(content) - 1):
            (served / name).write_bytes(content[:end])
            with pytest.raises(BundleError):
                open_bundle(served)
        (served / name).write_bytes(content)
        with pytest.raises(BundleError, match=r"was (truncated|altered)"):
            open_bundle(served)
    shutil.copyfile(new / order[-1], served / order[-1])
    assert whole(open_bundle(served)) == whole(open_bundle(new))


def test_swapped_bundle_opens_as_one_version_or_not_at_all(
    versions: tuple[Path, Path], tmp_path: Path
) -> None:
    served = tmp_path / "served"
    shutil.copytree(versions[0], served)
    known = [whole(open_bundle(folder)) for folder in versions]
    opened: list[tuple[str, bytes, int, object]] = []
    rejected = 0
    with swapping(served, versions):
        give_up = time.monotonic() + 60
        # The test is meaningful only if both versions and many states between them occurred.
        while rejected < 100 or not all(each in opened for each in known):
            assert time.monotonic() < give_up, (rejected, len(opened))
            try:
                opened.append(whole(open_bundle(served)))
            except BundleError:
                rejected += 1
    assert all(each in known for each in opened)


@contextlib.contextmanager
def swapping(served: Path, versions: tuple[Path, Path]) -> Iterator[None]:
    """Copy the versions over the served bundle in turn, file by file, during the block."""
    done = threading.Event()

    def swap() -> None:
        for source in itertools.cycle(versions):
            for name in FILES:
                shutil.copyfile(source / name, served / name)
            # The pause leaves a complete bundle from time to time.
            if done.wait(0.005):
                return

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        done.set()
        swapper.join()
