"""A bundle that is replaced file by file is never half of one and half of another."""

import contextlib
import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from oodguard.models.bundle import MAX_BYTES, Bundle, open_bundle, write_bundle
from oodguard.models.errors import BundleError

FILES = tuple(sorted(MAX_BYTES))
ORDERS = list(itertools.permutations(FILES))


@pytest.fixture
def versions(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> tuple[Path, Path]:
    """Two bundles that differ in every file."""
    old, new = tmp_path / "old", tmp_path / "new"
    make_bundle(old, model=b"the old graph", n_calibration=300)
    make_bundle(new, model=b"the new graph, of another length", n_calibration=301)
    # The builder gives both the same evaluation and card; the manifest pins these too.
    _rewrite(new)
    for name in FILES:
        assert (old / name).read_bytes() != (new / name).read_bytes()
    return old, new


def _rewrite(folder: Path) -> None:
    """Give a bundle another evaluation and card than the builder's."""
    made = open_bundle(folder)
    write_bundle(
        folder,
        description=made.manifest,
        model=made.model,
        calibration=made.calibration,
        evaluation={"accuracy": 0.75},
        card="# another\n",
    )


def whole(bundle: Bundle) -> tuple[str, bytes, int, object]:
    """All parts of a bundle, to be compared with those of the two versions."""
    scores = len(bundle.calibration["energy"])
    return bundle.sha256, bundle.model, scores, dict(bundle.evaluation)


@pytest.mark.parametrize("order", ORDERS[:: len(ORDERS) // 24], ids="-".join)
def test_between_the_first_and_the_last_file_it_does_not_open(
    versions: tuple[Path, Path], tmp_path: Path, order: tuple[str, ...]
) -> None:
    old, new = versions
    served = tmp_path / "served"
    shutil.copytree(old, served)
    for name in order[:-1]:
        shutil.copyfile(new / name, served / name)
        with pytest.raises(BundleError, match=r"was (truncated|altered)"):
            open_bundle(served)
    shutil.copyfile(new / order[-1], served / order[-1])
    assert whole(open_bundle(served)) == whole(open_bundle(new))


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_half_copied_does_not_open(
    versions: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    old, new = versions
    served = tmp_path / "served"
    shutil.copytree(old, served)
    content = (new / name).read_bytes()
    for end in {0, 1, len(content) // 2, len(content) - 1}:
        (served / name).write_bytes(content[:end])
        with pytest.raises(BundleError):
            open_bundle(served)


def test_opening_while_files_are_swapped_gives_one_of_the_two_or_a_refusal(
    versions: tuple[Path, Path], tmp_path: Path
) -> None:
    served = tmp_path / "served"
    shutil.copytree(versions[0], served)
    known = [whole(open_bundle(folder)) for folder in versions]
    opened: list[tuple[str, bytes, int, object]] = []
    refused = 0
    with swapping(served, versions):
        give_up = time.monotonic() + 60
        # Both versions and many states between them were met, or this proves nothing.
        while refused < 100 or not all(each in opened for each in known):
            assert time.monotonic() < give_up, (refused, len(opened))
            try:
                opened.append(whole(open_bundle(served)))
            except BundleError:
                refused += 1
    assert all(each in known for each in opened)


@contextlib.contextmanager
def swapping(served: Path, versions: tuple[Path, Path]) -> Iterator[None]:
    """Go on copying one version over the other, file by file, until the block ends."""
    done = threading.Event()

    def swap() -> None:
        for source in itertools.cycle(versions):
            for name in FILES:
                shutil.copyfile(source / name, served / name)
            # Now and then the bundle is whole for a moment.
            if done.wait(0.005):
                return

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        done.set()
        swapper.join()
