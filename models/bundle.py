"""The bundle folder: written whole or not at all, opened only when every byte is as recorded."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oodguard.models import calibration_file, evaluation_file
from oodguard.models.errors import BundleError
from oodguard.models.folder import put_in_place
from oodguard.models.manifest import Description, FileRecord, Manifest, parse_manifest

MODEL = "model.onnx"

CALIBRATION = "calibration.safetensors"

EVALUATION = "evaluation.json"

CARD = "README.md"

MANIFEST = "manifest.json"

_MIB = 2**20

MAX_BYTES: Mapping[str, int] = MappingProxyType(
    {
        MODEL: 2048 * _MIB - 1,  # the most that one ONNX file can have
        CALIBRATION: 64 * _MIB,
        EVALUATION: 64 * _MIB,
        CARD: 64 * _MIB,
        MANIFEST: 64 * _MIB,
    }
)
"""The five files of a bundle, and the most bytes that each may have."""

RENEW = "fetch the bundle again or export it anew"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle whose bytes were verified; nothing is read from the folder afterwards.

    `model` is model.onnx; `calibration` maps a score's name to held-out in-distribution scores
    `(n,)`, float32, sorted ascending; `sha256` is that of manifest.json, which pins all the rest.
    """

    manifest: Manifest
    model: bytes
    calibration: Mapping[str, NDArray[np.float32]]
    evaluation: Mapping[str, object]
    sha256: str


def open_bundle(folder: Path) -> Bundle:
    """Read and verify a bundle folder.

    Raises:
        BundleError: a file is missing, extra, too large, a link, truncated, altered or invalid.
    """
    _check_names(folder)
    manifest_bytes = _read(folder, MANIFEST)
    manifest = parse_manifest(manifest_bytes)
    if set(manifest.files) != set(MAX_BYTES) - {MANIFEST}:
        raise BundleError(
            f"manifest.json records {sorted(manifest.files)};"
            f" wanted {sorted(set(MAX_BYTES) - {MANIFEST})}; {RENEW}"
        )
    # Read once: the bytes that are hashed are the bytes that are used.
    content = {
        name: _verified(name, _read(folder, name), record)
        for name, record in manifest.files.items()
    }
    return Bundle(
        manifest=manifest,
        model=content[MODEL],
        calibration=MappingProxyType(
            calibration_file.decode(content[CALIBRATION], manifest.scores)
        ),
        evaluation=MappingProxyType(evaluation_file.decode(content[EVALUATION])),
        sha256=_sha256(manifest_bytes),
    )


def write_bundle(  # noqa: PLR0913 - a bundle's five parts, by keyword
    folder: Path,
    *,
    description: Description,
    model: bytes,
    calibration: Mapping[str, NDArray[np.float32]],
    evaluation: Mapping[str, object],
    card: str,
) -> Bundle:
    """Write a bundle to `folder`, replacing the bundle that is there.

    It is written beside, verified, and renamed into place: a half bundle is never seen, and a
    write that fails leaves the old one as it was.

    Raises:
        BundleError: `folder` is something else than a bundle, or what was given makes no bundle.
        OSError: the disk refuses; the old bundle is as it was.
    """
    _check_replaceable(folder)
    content = {
        MODEL: model,
        CALIBRATION: calibration_file.encode(calibration, description.scores),
        EVALUATION: evaluation_file.encode(evaluation),
        CARD: card.encode(),
    }
    files = {
        name: FileRecord(sha256=_sha256(each), bytes=len(each)) for name, each in content.items()
    }
    manifest = Manifest.model_validate({**description.model_dump(), "files": files})
    content[MANIFEST] = manifest.model_dump_json(indent=2).encode() + b"\n"
    put_in_place(folder, content, check=open_bundle)
    return open_bundle(folder)


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if found and not (MANIFEST in found and found <= set(MAX_BYTES)):
        raise BundleError(
            f"{folder} exists and is not a bundle; it is left alone. Remove it or write elsewhere"
        )


def _check_names(folder: Path) -> None:
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder; a bundle folder is wanted")
    try:
        found = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise BundleError(f"{folder} cannot be listed: {error.strerror}") from error
    missing, extra = sorted(set(MAX_BYTES) - found), sorted(found - set(MAX_BYTES))
    if missing:
        raise BundleError(f"{folder}: {', '.join(missing)} is missing; {RENEW}")
    if extra:
        raise BundleError(
            f"{folder}: {', '.join(extra)} does not belong to a bundle; remove it, or {RENEW}"
        )


def _read(folder: Path, name: str) -> bytes:
    path, limit = folder / name, MAX_BYTES[name]
    # A link could be swapped for another file, and opening a pipe would wait for ever.
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{name} is a link or no regular file; put the file itself in its place")
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise BundleError(f"{name} has more than {limit} bytes, the most that is read; {RENEW}")
    return content


def _verified(name: str, content: bytes, record: FileRecord) -> bytes:
    if len(content) != record.bytes:
        what = "truncated" if len(content) < record.bytes else "altered"
        raise BundleError(
            f"{name} was {what}: it has {len(content)} bytes, the manifest says {record.bytes};"
            f" {RENEW}"
        )
    found = _sha256(content)
    if found != record.sha256:
        raise BundleError(
            f"{name} was altered: sha256 is {found}, the manifest says {record.sha256}; {RENEW}"
        )
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
