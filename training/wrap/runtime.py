"""Load and run models in ONNX Runtime; its errors as errors of this project."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as states

from oodguard.models.errors import ClassifierError

RUNTIME_ERRORS = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NotImplemented,
    states.RuntimeException,
)

NEWEST_OPSET = re.compile(r"support for domain (\S+) is till opset (\d+)")
"""The part of ONNX Runtime's error about an opset that it does not support."""

PREFIX = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/\S+:\d+ .*?\) (?=[A-Z])"
)
"""The code of an error, and the place in ONNX Runtime's source files."""

FATAL = 4  # log severity; errors are raised as well


def open_session(model: onnx.ModelProto, what: str) -> onnxruntime.InferenceSession:
    """Return a model in ONNX Runtime, on the CPU.

    Raises:
        ClassifierError: ONNX Runtime cannot load it; the message names it as `what`.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    options.intra_op_num_threads = 0
    with runtime_errors(
        f"ONNX Runtime {onnxruntime.__version__} cannot load {what}",
        ". Export the classifier again, with operators of ONNX Runtime only",
    ):
        try:
            return onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except states.Fail as error:
            if limit := NEWEST_OPSET.search(str(error)):
                domain, newest = limit.groups()
                raise ClassifierError(_too_new(model, domain, int(newest))) from error
            raise


@contextmanager
def runtime_errors(message: str, remedy: str = "") -> Iterator[None]:
    """Raise an error of ONNX Runtime as a `ClassifierError` with its first line."""
    try:
        yield
    except RUNTIME_ERRORS as error:
        cause = PREFIX.sub("", str(error).strip().splitlines()[0]).strip()
        raise ClassifierError(f"{message}: {cause.removesuffix('.')}{remedy}") from error


def _too_new(model: onnx.ModelProto, domain: str, newest: int) -> str:
    opset = max(each.version for each in model.opset_import if (each.domain or "ai.onnx") == domain)
    return (
        f"opset {opset} of {domain}, expected at most {newest}, the newest that ONNX Runtime"
        f" {onnxruntime.__version__} supports. Export the classifier again with an older opset."
    )
