"""A given ONNX file, read and understood: its files, its one input, its one output."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, ValueInfoProto
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from oodguard.models.bundle import MAX_BYTES, MODEL
from oodguard.models.errors import ClassifierError
from oodguard.models.manifest import FileRecord
from oodguard.training.export.onnx import strip_metadata

OLDEST_OPSET = 7
"""Of what ONNX Runtime promises to run."""

ADDED = 2**20
"""Bytes that are kept free for the pixels and scores in front of and behind a classifier."""

Shape = tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginalClassifier:
    """A classifier as it came.

    `model` holds its weights even if they came in files of their own; `files` records every file
    that was read. `takes` and `gives` name the input and the output; `shape` is the input's, None
    where it is free.
    """

    model: onnx.ModelProto
    files: Mapping[str, FileRecord]
    takes: str
    gives: str
    shape: Shape
    as_uint8: bool

    @property
    def parameters(self) -> int:
        """How many numbers of the graph are weights: its float initializers."""
        sizes = (_size(t) for t in self.model.graph.initializer if t.data_type == TensorProto.FLOAT)
        return sum(sizes)


def read_original_classifier(
    path: Path, *, input_name: str | None, output_name: str | None
) -> OriginalClassifier:
    """Read a classifier.

    Raises:
        ClassifierError: no ONNX model, one that is too large or too old, or one whose input or
            output is not clear.
    """
    model, files = _read(path)
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    # Before IR version 4 every weight was an input as well, and so could not be folded.
    inputs = [each for each in graph.input if each.name not in stored]
    taken = _choose(inputs, input_name, what="input", option="--input-name")
    given = _choose(graph.output, output_name, what="output", option="--output-name")
    if len(inputs) > 1:
        others = ", ".join(each.name for each in inputs if each is not taken)
        raise ClassifierError(f"{path.name} wants more than images: {others}; one input is wanted")
    kind = taken.type.tensor_type.elem_type
    if kind not in {TensorProto.FLOAT, TensorProto.UINT8}:
        raise ClassifierError(
            f"{path.name}: input {taken.name} is {_type(kind)};"
            " float32 or uint8 is wanted: export the classifier in float32"
        )
    if (answered := given.type.tensor_type.elem_type) != TensorProto.FLOAT:
        raise ClassifierError(
            f"{path.name}: output {given.name} is {_type(answered)}; float32 is wanted"
        )
    return OriginalClassifier(
        model=model,
        files=files,
        takes=taken.name,
        gives=given.name,
        shape=_shape(taken),
        as_uint8=kind == TensorProto.UINT8,
    )


def _read(path: Path) -> tuple[onnx.ModelProto, dict[str, FileRecord]]:
    try:
        _check_size([path])
        model = onnx.load(path, load_external_data=False)
        beside = [path.parent / name for name in _external(model)]
        _check_size([path, *beside])
        load_external_data_for_model(model, str(path.parent))
        files = {each.name: _record(each) for each in (path, *beside)}
        onnx.checker.check_model(model)
    except OSError as error:
        raise ClassifierError(
            f"{error.filename or path}: cannot be read: {error.strerror}"
        ) from error
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ClassifierError(f"{path} is no valid ONNX model: {error}") from error
    opset = opset_of(model)
    if opset < OLDEST_OPSET:
        raise ClassifierError(
            f"{path.name} has opset {opset}, older than {OLDEST_OPSET}, the oldest that ONNX"
            " Runtime promises to run; export it anew with opset 17 or so"
        )
    strip_metadata(model)
    return model, files


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that a model is written in, 0 if of none."""
    versions = [each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}]
    return max(versions, default=0)


def _external(model: onnx.ModelProto) -> list[str]:
    """Return the names of the files that hold weights, in a stable order."""
    names = {
        entry.value
        for tensor in model.graph.initializer
        if uses_external_data(tensor)
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sorted(names)


def _check_size(paths: Iterable[Path]) -> None:
    total, limit = sum(path.stat().st_size for path in paths), MAX_BYTES[MODEL] - ADDED
    if total > limit:
        raise ClassifierError(
            f"the classifier has {total} bytes; at most {limit} fit into a bundle"
        )


def _record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileRecord(sha256=digest, bytes=file.tell())


def _choose(
    ports: Iterable[ValueInfoProto], name: str | None, *, what: str, option: str
) -> ValueInfoProto:
    by_name = {port.name: port for port in ports}
    if name is None and len(by_name) == 1:
        return next(iter(by_name.values()))
    if name is None or name not in by_name:
        asked = "several came" if name is None else f"{name!r} came"
        raise ClassifierError(f"{option}: {asked}; the {what}s are {sorted(by_name)}, name one")
    return by_name[name]


def _shape(port: ValueInfoProto) -> Shape:
    dims = port.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)


def _type(kind: int) -> str:
    return "no tensor" if kind == TensorProto.UNDEFINED else TensorProto.DataType.Name(kind).lower()


def _size(tensor: TensorProto) -> int:
    size = 1
    for dim in tensor.dims:
        size *= dim
    return size
