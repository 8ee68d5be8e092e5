"""Prepared images of large sources in a file, which is written once and mapped into memory.

The folder of a source is named by a hash of everything that determines the pixels: the files with
their sizes and times, the rows, the rule of preparation and the versions of the libraries. It holds
`images`, one slot per row, and `states`, one byte per row. `images` is complete from the moment at
which it has this name; an interrupted preparation continues with the rows that are missing.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oodguard.models import preprocessing
from oodguard.models.errors import RecipeError
from oodguard.models.manifest import InputSpec
from oodguard.training.data.images import MappedImages
from oodguard.training.data.listing import Encoded, Listing
from oodguard.training.data.pictures import decode_all

LARGE = 256 * 2**20
"""Prepared images of more bytes are mapped; fewer are kept in memory, which is faster."""

COMMITTED = 512
"""The number of images that are written to the disk before their states are."""

MISSING, READ, BROKEN = 0, 1, 2
LIBRARIES = ("numpy", "pillow", "pillow-heif")

Advance = Callable[[int], None]
"""Is called with the number of images that were prepared since the last call."""


def is_large(listing: Listing, spec: InputSpec) -> bool:
    """Return whether the prepared images of a source are mapped rather than kept in memory."""
    return len(listing) * _image_bytes(spec) > LARGE


def cached_images(
    listing: Listing, spec: InputSpec, *, advance: Advance = lambda _: None
) -> tuple[MappedImages, NDArray[np.int64]]:
    """Return the images of a source from its file, which is written if it is not complete.

    Returns:
        The images, and the positions in the listing of those that can be read.

    Raises:
        RecipeError: images cannot be read, or the file cannot be written.
    """
    folder = cache_folder() / _key(listing, spec)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / "lock"):
            if not (folder / "images").exists():
                _prepare(folder, listing, spec, advance)
        states = np.fromfile(folder / "states", np.uint8)
    except OSError as error:
        raise RecipeError(
            f"{folder}: cannot write {len(listing) * _image_bytes(spec):,} bytes of prepared"
            f" images: {error.strerror}. Free disk space, or set XDG_CACHE_HOME to another folder"
        ) from error
    if not listing.skip_broken and (states == BROKEN).any():
        for _ in decode_all(listing.select(np.flatnonzero(states == BROKEN)), spec):
            pass  # the error names the images that an earlier preparation left out
    kept = np.flatnonzero(states == READ)
    images = MappedImages(
        folder / "images", height=spec.height, width=spec.width, rows=torch.from_numpy(kept)
    )
    return images, kept


def cache_folder() -> Path:
    """Return the folder of prepared images, which may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ood-guard" / "images"


def _prepare(folder: Path, listing: Listing, spec: InputSpec, advance: Advance) -> None:
    """Write the images that are missing, then give the complete file its name."""
    size = _image_bytes(spec)
    partial = folder / "images.partial"
    states = np.zeros(len(listing), np.uint8)
    if partial.exists() and (folder / "states").exists():
        states = np.fromfile(folder / "states", np.uint8)
    missing = np.flatnonzero(states != READ)
    advance(len(states) - len(missing))
    with partial.open("r+b" if partial.exists() else "w+b") as file:
        os.posix_fallocate(file.fileno(), 0, len(listing) * size)  # a full disk fails now
        decoded = decode_all(listing.select(missing), spec)
        for written, (position, pixels) in enumerate(decoded, start=1):
            row = missing[position]
            os.pwrite(file.fileno(), pixels.tobytes(), int(row) * size)
            states[row] = READ
            if written % COMMITTED == 0:
                _commit(file.fileno(), states, folder)
                advance(COMMITTED)
        states[states == MISSING] = BROKEN
        _commit(file.fileno(), states, folder)
    partial.replace(folder / "images")


def _commit(file: int, states: NDArray[np.uint8], folder: Path) -> None:
    os.fdatasync(file)
    partial = folder / "states.partial"
    states.tofile(partial)
    partial.replace(folder / "states")


def _key(listing: Listing, spec: InputSpec) -> str:
    """Return a hash of everything that determines the prepared images."""
    digest = hashlib.sha256()
    for content in listing.files or (encoded for _, encoded in listing.pictures()):
        digest.update(_identity(content))
    digest.update(listing.rows.tobytes())
    digest.update(spec.model_dump_json().encode())
    digest.update(Path(preprocessing.__file__).read_bytes())
    digest.update(repr([(name, _version(name)) for name in LIBRARIES]).encode())
    return digest.hexdigest()[:32]


def _identity(content: Encoded) -> bytes:
    """Return what changes if a file or an encoded image changes."""
    if not isinstance(content, Path):
        return hashlib.sha256(content or b"").digest()
    try:
        status = content.stat()
    except OSError:  # the image is broken
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
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
