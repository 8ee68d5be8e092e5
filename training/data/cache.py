"""Prepared images of large sources in a file, which is written once and mapped into memory.

The folder of a source is named by a hash of everything that determines the pixels: the files with
their sizes and times, the rows, the rule of preparation and the versions of the libraries. It holds
`images`, one slot per row, and `states`, one byte per row. Every row was tried once when `images`
has this name. A later call tries the rows that are not read again, whether the preparation was
interrupted or an image could not be read. Files of other sizes are written again.
"""

import fcntl
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.command_line.output import print_notice
from oodguard.models import jpeg, preprocessing
from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.sources.listing import Encoded, Listing
from oodguard.sources.pictures import decode_all, reason_of
from oodguard.training.data.images import MappedImages

LARGE = 256 * 2**20
"""Prepared images of more bytes are mapped; fewer are kept in memory, which is faster."""

COMMITTED = 512
"""The number of images that are written to the disk before their states are."""

READ = 1
"""The state of an image that is in the file."""

LIBRARIES = ("numpy", "pillow", "pillow-heif", "simplejpeg")

Advance = Callable[[int], None]
"""Called with the number of images that were prepared since the last call."""


def is_large(listing: Listing, spec: InputSpec) -> bool:
    """Return whether the prepared images of a source are mapped rather than kept in memory."""
    return len(listing) * _image_bytes(spec) > LARGE


def cached_images(
    listing: Listing, spec: InputSpec, *, advance: Advance = lambda _: None
) -> tuple[MappedImages, NDArray[np.int64], Counter[str]]:
    """Return the images of a source from its file, which is written if it is not complete.

    Returns:
        The images, the positions in the listing of those that can be read, and the number of the
        others by reason.

    Raises:
        RecipeError: Images cannot be read, or the file cannot be written.
    """
    folder = cache_folder() / _key(listing, spec)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / "lock"):
            states, broken = _prepare(folder, listing, spec, advance)
    except OSError as error:
        raise RecipeError(
            f"{folder}: cannot write {len(listing) * _image_bytes(spec):,} bytes of prepared"
            f" images: {error.strerror}. Free disk space, or set XDG_CACHE_HOME to another folder"
        ) from error
    kept = np.flatnonzero(states == READ)
    images = MappedImages(
        folder / "images", height=spec.height, width=spec.width, rows=torch.from_numpy(kept)
    )
    return images, kept, broken


def cache_folder() -> Path:
    """Return the folder of prepared images, which may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ood-guard" / "images"


def _prepare(
    folder: Path, listing: Listing, spec: InputSpec, advance: Advance
) -> tuple[NDArray[np.uint8], Counter[str]]:
    """Write the images that are missing, and give the file its name.

    Returns:
        The states, and the number of images that cannot be read by reason.
    """
    size = _image_bytes(spec)
    complete, partial = folder / "images", folder / "images.partial"
    path = complete if complete.exists() else partial
    states = _states(folder, path, rows=len(listing), size=size)
    if states is None:
        for each in (complete, partial):
            each.unlink(missing_ok=True)
        path, states = partial, np.zeros(len(listing), np.uint8)
    missing = np.flatnonzero(states != READ)
    advance(len(states) - len(missing))
    broken: Counter[str] = Counter()
    if path == complete and not len(missing):
        return states, broken
    with path.open("r+b" if path.exists() else "w+b") as file:
        os.posix_fallocate(file.fileno(), 0, len(listing) * size)  # a full disk fails now
        decoded = decode_all(listing.select(missing), spec)
        for written, (position, pixels) in enumerate(decoded, start=1):
            if isinstance(pixels, str):
                broken[reason_of(pixels)] += 1
            else:
                row = missing[position]
                os.pwrite(file.fileno(), pixels.tobytes(), int(row) * size)
                states[row] = READ
            if written % COMMITTED == 0:
                _commit(file.fileno(), states, folder)
                advance(COMMITTED)
        _commit(file.fileno(), states, folder)
    path.replace(complete)
    return states, broken


def _states(folder: Path, images: Path, *, rows: int, size: int) -> NDArray[np.uint8] | None:
    """Return the states of earlier preparations; None if the files are missing or damaged."""
    try:
        states = np.fromfile(folder / "states", np.uint8)
        return states if (len(states), images.stat().st_size) == (rows, rows * size) else None
    except FileNotFoundError:
        return None


def _commit(file: int, states: NDArray[np.uint8], folder: Path) -> None:
    os.fdatasync(file)
    partial = folder / "states.partial"
    states.tofile(partial)
    partial.replace(folder / "states")


def _key(listing: Listing, spec: InputSpec) -> str:
    """Return a hash of everything that determines the prepared images."""
    digest = hashlib.sha256()
    pictures = (encoded for _, encoded in listing.pictures())
    for content in pictures if listing.files is None else listing.files():
        digest.update(_identity(content))
    digest.update(listing.image_column.encode())
    digest.update(listing.rows.tobytes())
    digest.update(spec.model_dump_json().encode())
    for source in (jpeg.__file__, preprocessing.__file__):
        digest.update(Path(source).read_bytes())
    digest.update(repr([(name, _version(name)) for name in LIBRARIES]).encode())
    return digest.hexdigest()[:32]


def _identity(content: Encoded) -> bytes:
    """Return what changes if a file or an encoded image changes."""
    if not isinstance(content, Path):
        return hashlib.sha256(content or b"").digest()
    try:
        status = content.stat()
    except (OSError, ValueError):  # the image is broken
        return repr(os.fspath(content.absolute())).encode()
    return repr((os.fspath(content.absolute()), status.st_size, status.st_mtime_ns)).encode()


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _image_bytes(spec: InputSpec) -> int:
    return spec.height * spec.width * 3


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait until no other process prepares the same images."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print_notice(f"waiting for another process that prepares these images: {path.parent}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
