"""Read an existing ONNX classifier and check its files, input and output."""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, ValueInfoProto
from onnx.external_data_helper import (
    ExternalDataInfo,
    load_external_data_for_model,
    uses_external_data,
)

from oodguard.models.bundle import MAX_BYTES, MODEL
from oodguard.models.errors import ClassifierError
from oodguard.models.manifest import FileRecord
from oodguard.training.export.onnx import strip_metadata

OLDEST_OPSET = 7
"""The oldest opset that ONNX Runtime supports."""

ADDED_BYTES = 2**20
"""Bytes reserved for the preprocessing and the scores around a classifier."""

Shape = tuple[int | None, ...]
"""Dimensions of a tensor; None for a dynamic one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginalClassifier:
    """A classifier as it was given, and the names of its image input and its class output.

    `model` has its weights, also those stored in separate files; `files` are the size and hash of
    every file read, by name. `shape` is that of the input, which is uint8 or float32.
    """

    model: onnx.ModelProto
    files: Mapping[str, FileRecord]
    input_name: str
    output_name: str
    shape: Shape
    as_uint8: bool

    @property
    def parameters(self) -> int:
        """The number of weights: elements of float initializers."""
        return sum(
            math.prod(tensor.dims)
            for tensor in self.model.graph.initializer
            if tensor.data_type == TensorProto.FLOAT
        )


def read_original_classifier(
    path: Path, *, input_name: str | None, output_name: str | None
) -> OriginalClassifier:
    """Read a classifier; weights in separate files are read from its folder.

    `input_name` and `output_name` are required only where there are several.

    Raises:
        ClassifierError: It is not an ONNX model, is too large or too old, or its input or output is
            ambiguous or has an unsupported type.
    """
    model, files = _read(path)
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    # Before IR version 4 every weight was also an input.
    inputs = [port for port in graph.input if port.name not in stored]
    images = _choose(inputs, input_name, what="input", option="--input-name")
    classes = _choose(graph.output, output_name, what="output", option="--output-name")
    if len(inputs) > 1:
        others = ", ".join(port.name for port in inputs if port is not images)
        raise ClassifierError(
            f"{path.name}: the model has further inputs, {others}, expected one image input"
        )
    input_type = images.type.tensor_type.elem_type
    if input_type not in {TensorProto.FLOAT, TensorProto.UINT8}:
        raise ClassifierError(
            f"{path.name}: input {images.name} has type {_type_name(input_type)}, expected float32"
            " or uint8. Export the classifier in float32."
        )
    if (output_type := classes.type.tensor_type.elem_type) != TensorProto.FLOAT:
        raise ClassifierError(
            f"{path.name}: output {classes.name} has type {_type_name(output_type)}, expected"
            " float32"
        )
    dims = images.type.tensor_type.shape.dim
    return OriginalClassifier(
        model=model,
        files=files,
        input_name=images.name,
        output_name=classes.name,
        # Some exporters write -1 for a dynamic dimension.
        shape=tuple(dim.dim_value if dim.dim_value > 0 else None for dim in dims),
        as_uint8=input_type == TensorProto.UINT8,
    )


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that a model uses; 0 if it uses none."""
    versions = [each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}]
    return max(versions, default=0)


def _read(path: Path) -> tuple[onnx.ModelProto, dict[str, FileRecord]]:
    try:
        _check_size([path])
        model = onnx.load(path, load_external_data=False)
        weights = [path.parent / name for name in _external_files(model)]
        _check_size([path, *weights])
        load_external_data_for_model(model, str(path.parent))
        files = {each.name: _record(each) for each in (path, *weights)}
        onnx.checker.check_model(model)
    except OSError as error:
        raise ClassifierError(
            f"{error.filename or path}: cannot be read: {error.strerror}"
        ) from error
    except (DecodeError, onnx.checker.ValidationError) as error:
        first_line = str(error).partition("\n")[0]
        raise ClassifierError(f"{path}: invalid ONNX model: {first_line}") from error
    opset = opset_of(model)
    if opset < OLDEST_OPSET:
        raise ClassifierError(
            f"{path.name}: opset {opset}, expected at least {OLDEST_OPSET}, the oldest that ONNX"
            " Runtime supports. Export the classifier again, for example with opset 17."
        )
    strip_metadata(model)
    return model, files


def _external_files(model: onnx.ModelProto) -> list[str]:
    """Return the names of the files with weights, sorted."""
    stored = model.graph.initializer
    return sorted({ExternalDataInfo(each).location for each in stored if uses_external_data(each)})


def _check_size(paths: Iterable[Path]) -> None:
    total, limit = sum(path.stat().st_size for path in paths), MAX_BYTES[MODEL] - ADDED_BYTES
    if total > limit:
        raise ClassifierError(
            f"the classifier has {total} bytes, expected at most {limit} in a bundle"
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
        received = "not given" if name is None else f"received {name!r}"
        raise ClassifierError(
            f"{option}: {received}, expected one of the {what}s {sorted(by_name)}"
        )
    return by_name[name]


def _type_name(kind: int) -> str:
    return "no tensor" if kind == TensorProto.UNDEFINED else TensorProto.DataType.Name(kind).lower()
