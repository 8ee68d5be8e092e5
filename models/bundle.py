"""Read and write bundle folders. A bundle opens only if every byte is as recorded."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from oodguard.models import calibration_file
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.errors import BundleError
from oodguard.models.manifest import ROWS_VERSION, Description, Manifest, parse_manifest
from oodguard.models.records import FileRecord
from oodguard.models.replace_folder import replace_folder
from oodguard.models.validation_errors import describe_json_error

MODEL = "model.onnx"
CALIBRATION = "calibration.safetensors"
EVALUATION = "evaluation.json"
CARD = "README.md"
MANIFEST = "manifest.json"
_MIB = 2**20

MAX_BYTES: Mapping[str, int] = MappingProxyType(
    {
        MODEL: 2048 * _MIB - 1,  # the limit of a single ONNX file
        CALIBRATION: 64 * _MIB,
        # Those of the included bundles have 60 kB. Parsed, JSON takes up to 22 times its size.
        EVALUATION: 4 * _MIB,
        CARD: 4 * _MIB,
        # A class takes some 30 bytes. A key that is not known takes about 60 times its size.
        MANIFEST: 2 * _MIB,
    }
)
"""The five files of a bundle and their largest sizes in bytes."""

REMEDY = "download or export the bundle again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """The content of a verified bundle, independent of its folder.

    Attributes:
        manifest: The content of manifest.json.
        model: The bytes of model.onnx.
        rows: The calibration images: held out, in-distribution, one row each.
        calibration: Their scores `(n,)` by score name, float32, ascending.
        evaluation: The content of evaluation.json.
        card: The text of README.md.
        sha256: The hash of manifest.json, which holds the hashes of all other files.
    """

    manifest: Manifest
    model: bytes
    rows: CalibrationRows
    calibration: Mapping[str, NDArray[np.float32]]
    evaluation: Mapping[str, object]
    card: str
    sha256: str


def open_bundle(folder: Path) -> Bundle:
    """Read and verify a bundle folder.

    Raises:
        BundleError: A file is missing, unexpected, too large, a link, truncated, altered or
            invalid.
    """
    _check_names(folder)
    manifest_bytes = _read(folder, MANIFEST)
    manifest = parse_manifest(manifest_bytes)
    if set(manifest.files) != set(MAX_BYTES) - {MANIFEST}:
        raise BundleError(
            f"manifest.json records the files {sorted(manifest.files)},"
            f" expected {sorted(set(MAX_BYTES) - {MANIFEST})}; {REMEDY}"
        )
    # Each file is read once, so that the verified bytes are the bytes that are used.
    content = {
        name: _verified(name, _read(folder, name), record)
        for name, record in manifest.files.items()
    }
    rows = calibration_file.decode(content[CALIBRATION], manifest.scores)
    _check_rows(rows, manifest)
    return Bundle(
        manifest=manifest,
        model=content[MODEL],
        rows=rows,
        calibration=MappingProxyType(rows.ordered()),
        evaluation=MappingProxyType(decode_evaluation(content[EVALUATION])),
        card=content[CARD].decode(errors="replace"),
        sha256=_sha256(manifest_bytes),
    )


def write_bundle(  # noqa: PLR0913 - the five parts of a bundle, by keyword
    folder: Path,
    *,
    description: Description,
    model: bytes,
    calibration: CalibrationRows,
    evaluation: Mapping[str, object],
    card: str,
    replace: bool = True,
) -> Bundle:
    """Write a bundle to `folder` and replace the bundle that exists there.

    The new bundle is written to a temporary folder, verified, and renamed. If a step fails, the
    previous bundle is unchanged. Without `replace`, an existing bundle is an error.

    Raises:
        BundleError: `folder` holds other files than a bundle or cannot be written, or a part is
            invalid.
    """
    folder = folder.resolve()  # its path may lead through a folder that does not exist
    check_replaceable(folder)
    if not calibration.has_scores_only:
        description = description.model_copy(update={"schema_version": ROWS_VERSION})
    content = {
        MODEL: model,
        CALIBRATION: calibration_file.encode(calibration, description.scores),
        EVALUATION: encode_evaluation(evaluation),
        CARD: card.encode(),
    }
    files = {
        name: FileRecord(sha256=_sha256(each), bytes=len(each)) for name, each in content.items()
    }
    manifest = Manifest.model_validate({**description.model_dump(), "files": files})
    content[MANIFEST] = manifest.model_dump_json(indent=2).encode() + b"\n"
    with _write_errors(folder):
        replace_folder(folder, content, check=open_bundle, replace=replace)
    return open_bundle(folder)


def _check_rows(rows: CalibrationRows, manifest: Manifest) -> None:
    if manifest.schema_version < ROWS_VERSION and not rows.has_scores_only:
        raise BundleError(
            f"{CALIBRATION} holds {', '.join(rows.arrays())}, expected scores only by"
            f" schema_version {manifest.schema_version}; {REMEDY}"
        )
    if bool(rows.attacked) != (manifest.calibration_attack is not None):
        raise BundleError(
            f"{CALIBRATION} holds scores of attacked images at the budgets"
            f" {sorted(rows.attacked)}, and calibration_attack of manifest.json is"
            f" {manifest.calibration_attack}, expected both or none; {REMEDY}"
        )
    k = len(manifest.classes)
    for name, indices in (("predicted", rows.predicted), ("labels", rows.labels)):
        if indices is not None and indices.max() >= k:
            raise BundleError(
                f"{CALIBRATION}: {name} holds class {indices.max()}, expected at most {k - 1}, the"
                f" last of the {k} classes; {REMEDY}"
            )


def encode_evaluation(evaluation: Mapping[str, object]) -> bytes:
    """Serialize an evaluation as strict JSON.

    Raises:
        BundleError: A value, such as NaN, has no JSON representation.
    """
    try:
        return json.dumps(dict(evaluation), indent=2, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise BundleError(f"The evaluation cannot be written as JSON: {error}") from error


def decode_evaluation(content: bytes) -> dict[str, object]:
    """Parse the bytes of evaluation.json.

    Raises:
        BundleError: The content is not a JSON object.
    """
    try:
        document = json.loads(content, parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        cause = describe_json_error(content, error)
        raise BundleError(f"{EVALUATION} is not JSON: {cause}; {REMEDY}") from error
    if not isinstance(document, dict):
        raise BundleError(
            f"{EVALUATION} holds a {type(document).__name__}, expected an object; {REMEDY}"
        )
    return document


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise BundleError(
            f"{folder} exists, expected a new folder. It was not changed: choose another one"
        ) from error
    except OSError as error:
        raise BundleError(
            f"{folder}: the bundle cannot be written: {error.strerror}. Free disk space, or choose"
            " another folder"
        ) from error


def check_replaceable(folder: Path) -> None:
    """Check that a path is free, an empty folder or a bundle.

    Raises:
        BundleError: It is a file or another folder, or cannot be read.
    """
    with _write_errors(folder):
        if not folder.exists():
            return
        found = {path.name for path in folder.iterdir()} if folder.is_dir() else None
    if found is None or (found and not (MANIFEST in found and found <= set(MAX_BYTES))):
        raise BundleError(
            f"{folder} exists and is not a bundle. It was not changed: choose another folder"
        )


def _check_names(folder: Path) -> None:
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder, expected a bundle folder")
    try:
        found = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise BundleError(f"{folder} cannot be listed: {error.strerror}") from error
    missing, extra = sorted(set(MAX_BYTES) - found), sorted(found - set(MAX_BYTES))
    if missing:
        bundles = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
        if MANIFEST in missing and bundles:
            raise BundleError(
                f"{folder} is a folder of bundles, expected the folder of one bundle, for example"
                f" {bundles[0]}"
            )
        if MANIFEST in missing and "recipe.toml" in found:
            raise BundleError(
                f"{folder} is the folder of a training run, expected a bundle. Export it first:"
                f" oodguard-train export {folder} --out BUNDLE"
            )
        verb = "is" if len(missing) == 1 else "are"
        raise BundleError(f"{folder}: {', '.join(missing)} {verb} missing; {REMEDY}")
    if extra:
        raise BundleError(
            f"{folder}: {', '.join(extra)} does not belong to a bundle; remove it, or {REMEDY}"
        )


def _read(folder: Path, name: str) -> bytes:
    path, limit = folder / name, MAX_BYTES[name]
    # The target of a link may change, and opening a pipe would block.
    if path.is_symlink() or not path.is_file():
        raise BundleError(f"{name} is a link or not a regular file; replace it by the file itself")
    try:
        with path.open("rb") as file:
            # `read` allocates what it may return: the limit is that of the largest network.
            content = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
    except OSError as error:
        raise BundleError(f"{name} cannot be read: {error.strerror}") from error
    if len(content) > limit:
        raise BundleError(f"{name} has more than {limit} bytes, expected at most {limit}; {REMEDY}")
    return content


def _verified(name: str, content: bytes, record: FileRecord) -> bytes:
    if len(content) != record.bytes:
        fault = "truncated" if len(content) < record.bytes else "altered"
        raise BundleError(
            f"{name} was {fault}: it has {len(content)} bytes, expected {record.bytes} by the"
            f" manifest; {REMEDY}"
        )
    found = _sha256(content)
    if found != record.sha256:
        raise BundleError(
            f"{name} was altered: its sha256 is {found}, expected {record.sha256} by the manifest;"
            f" {REMEDY}"
        )
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
