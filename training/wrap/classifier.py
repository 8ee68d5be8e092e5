"""Read an existing ONNX classifier and check its files, input and output."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import TensorProto, ValueInfoProto
from onnx.external_data_helper import (
    ExternalDataInfo,
    load_external_data_for_model,
    uses_external_data,
)

from oodguard.models.bundle import MAX_BYTES, MODEL
from oodguard.models.errors import ClassifierError
from oodguard.models.records import FileRecord
from oodguard.sources.special_file import is_special
from oodguard.training.export.onnx import strip_metadata
from oodguard.training.wrap.input import PIXEL_TYPES, PixelType, Shape
from oodguard.training.wrap.repair import DEFAULT_DOMAINS, graphs, repaired
from oodguard.training.wrap.runtime import open_session

OLDEST_OPSET = 7
"""The oldest opset that ONNX Runtime supports."""

LARGEST_BATCH = 1024
"""The largest fixed batch; the original runs on batches of its own size."""

ADDED_BYTES = 2**20
"""Bytes reserved for the preprocessing and the scores around a classifier."""

NUMBERS = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE})
"""Element types of an output of logits or probabilities."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginalClassifier:
    """A classifier, and the names of its image input and its class output.

    `model` is repaired (`wrap.repair`) and has its weights, also those stored in separate files;
    `files` are the size and hash of every file read, by name. `shape` and `pixel_type` are those of
    the input.
    """

    model: onnx.ModelProto
    files: Mapping[str, FileRecord]
    input_name: str
    output_name: str
    shape: Shape
    pixel_type: PixelType

    @property
    def takes_integers(self) -> bool:
        """Whether the input is of integers: the classifier scales the pixels itself."""
        return not self.pixel_type.startswith("float")

    @property
    def parameters(self) -> int:
        """The number of weights: elements of float initializers, or of int8 and uint8 ones."""
        kinds = NUMBERS | {TensorProto.INT8, TensorProto.UINT8}
        stored = self.model.graph.initializer
        return sum(math.prod(tensor.dims) for tensor in stored if tensor.data_type in kinds)


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
    if len(graph.input) > 1:
        raise ClassifierError(
            f"{path.name}: the model has the inputs {', '.join(port.name for port in graph.input)},"
            " expected one input, of images. Export it with constants in place of the others"
        )
    images = _choose(graph.input, input_name, what="input", option="--input-name")
    classes = _choose_output(graph.output, output_name)
    input_type = images.type.tensor_type.elem_type
    if input_type not in PIXEL_TYPES:
        raise ClassifierError(
            f"{path.name}: input {images.name} has type {_type_name(input_type)}, expected one of"
            f" {', '.join(PIXEL_TYPES.values())}. Export the classifier in float32."
        )
    if (output_type := classes.type.tensor_type.elem_type) not in NUMBERS:
        raise ClassifierError(
            f"{path.name}: output {classes.name} has type {_type_name(output_type)}, expected"
            " float32, float16 or float64"
        )
    dims = images.type.tensor_type.shape.dim
    if dims and dims[0].dim_value > LARGEST_BATCH:
        raise ClassifierError(
            f"{path.name}: input {images.name} has a batch of {dims[0].dim_value} images, expected"
            f" at most {LARGEST_BATCH}. Export the classifier with a dynamic batch dimension."
        )
    return OriginalClassifier(
        model=model,
        files=files,
        input_name=images.name,
        output_name=classes.name,
        shape=tuple(dim.dim_value or None for dim in dims),
        pixel_type=PIXEL_TYPES[input_type],
    )


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that a model uses; 0 if it uses none."""
    versions = [each.version for each in model.opset_import if each.domain in DEFAULT_DOMAINS]
    return max(versions, default=0)


TORCH_ENDINGS = {".bin", ".ckpt", ".pt", ".pth", ".safetensors"}

FOREIGN: Mapping[bytes, str] = {
    b"version https://git-lfs": "It is a pointer of Git LFS: fetch the file with git lfs pull",
    b"<!doctype": "It is a web page: download the file again",
    b"<html": "It is a web page: download the file again",
    b"pk\x03\x04": "It is a ZIP archive: give the ONNX file in it, or export a model of torch with"
    " torch.onnx.export",
}
"""Remedies for files that are no ONNX models, by their first bytes in lower case."""

MAX_HEAD = 32


def _read(path: Path) -> tuple[onnx.ModelProto, dict[str, FileRecord]]:
    try:
        _check_size([path])
        model = onnx.load(path, load_external_data=False)
        weights = [path.parent / name for name in _external_files(model)]
        _check_size([path, *weights])
        load_external_data_for_model(model, str(path.parent))
        files = {each.name: _record(each) for each in (path, *weights)}
        model = repaired(model)
        _check(model)
    except OSError as error:
        raise ClassifierError(
            f"{error.filename or path}: cannot be read: {error.strerror}"
        ) from error
    except (DecodeError, EncodeError, ValueError, onnx.checker.ValidationError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ClassifierError(
            f"{path}: invalid ONNX model: {first_line.removesuffix('.')}. {_remedy(path)}"
        ) from error
    opset = opset_of(model)
    if opset < OLDEST_OPSET:
        raise ClassifierError(
            f"{path.name}: opset {opset}, expected at least {OLDEST_OPSET}, the oldest that ONNX"
            " Runtime supports. Export the classifier again, for example with opset 17."
        )
    strip_metadata(model)
    return model, files


def _remedy(path: Path) -> str:
    """Return what to do about a file that is no valid model."""
    with path.open("rb") as file:
        head = file.read(MAX_HEAD).lower()
    if not head:
        return "The file is empty: download or export it again"
    if path.suffix.lower() in TORCH_ENDINGS:
        return "A file of torch is no ONNX file: export it with torch.onnx.export"
    known = (remedy for begin, remedy in FOREIGN.items() if head.startswith(begin))
    return next(known, "Download or export the file again")


def _external_files(model: onnx.ModelProto) -> list[str]:
    """Return the names of the files with weights, sorted."""
    stored = [
        tensor
        for graph in graphs(model.graph)
        for tensor in (
            *graph.initializer,
            *(each.t for node in graph.node for each in node.attribute if each.HasField("t")),
        )
    ]
    return sorted({ExternalDataInfo(each).location for each in stored if uses_external_data(each)})


def _check(model: onnx.ModelProto) -> None:
    """Check a repaired model with ONNX's checker; only ONNX Runtime infers missing output shapes.

    Raises:
        ValidationError: The model is invalid.
        ClassifierError: ONNX Runtime cannot load the model.
    """
    missing = [each for each in model.graph.output if not each.type.tensor_type.HasField("shape")]
    if any(each.type.HasField("tensor_type") for each in missing):
        found = {each.name: each for each in open_session(model, "the classifier").get_outputs()}
        for port in missing:
            # ONNX Runtime may not know the rank either; the outputs of a run are checked.
            for size in found[port.name].shape or (None, None):
                dim = port.type.tensor_type.shape.dim.add()
                if isinstance(size, int):
                    dim.dim_value = size
    onnx.checker.check_model(model)


def _check_size(paths: Sequence[Path]) -> None:
    for path in paths:
        if is_special(path):
            raise ClassifierError(f"{path}: the path is a pipe or a device, expected a file")
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
    if not by_name:
        raise ClassifierError(f"the model has no {what}, expected one. Export the classifier again")
    if name is None and len(by_name) == 1:
        return next(iter(by_name.values()))
    if name is None or name not in by_name:
        received = "not given" if name is None else f"received {name!r}"
        raise ClassifierError(
            f"{option}: {received}, expected one of the {what}s {sorted(by_name)}"
        )
    return by_name[name]


def _choose_output(ports: Iterable[ValueInfoProto], name: str | None) -> ValueInfoProto:
    """Choose an output; scikit-learn's classifiers return the class next to its probabilities."""
    if name is None:
        numbers = [port for port in ports if port.type.tensor_type.elem_type in NUMBERS]
        ports = numbers if len(numbers) == 1 else ports
    return _choose(ports, name, what="output", option="--output-name")


def _type_name(kind: int) -> str:
    return "no tensor" if kind == TensorProto.UNDEFINED else TensorProto.DataType.Name(kind).lower()
