"""Build the response to an inference request: JSON, followed by the bytes of binary outputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from oodguard.models.verdicts import VerdictArrays
from oodguard.service.api.problems import JSON
from oodguard.service.inference.model import LoadedModel
from oodguard.service.inference.queue import Job
from oodguard.service.open_inference.request import Inference
from oodguard.service.open_inference.schemas import BINARY, HEADER_LENGTH
from oodguard.service.registry.deployment import Deployment
from oodguard.service.responses import Detail, coarse_p_value

OutputDatatype: TypeAlias = Literal["BOOL", "BYTES", "FP32", "FP64", "INT64"]

Values: TypeAlias = NDArray[Any] | list[str]


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a model.

    Attributes:
        datatype: The protocol's name of the type; BYTES are strings.
        values: Selects the values from the verdicts.
        width: The second dimension, if there is one; the first is the number of images.
    """

    datatype: OutputDatatype
    values: Callable[[VerdictArrays], Values]
    width: int | None = None

    def shape(self, images: int) -> list[int]:
        """Return the shape for a number of images."""
        return [images] if self.width is None else [images, self.width]


def available_outputs(model: LoadedModel, detail: Detail) -> Mapping[str, Output]:
    """Return the outputs of a model by name, in the order of a response to a request without names.

    With detail `verdict`, outputs that an attacker could maximize are left out, and p-values are
    coarse.
    """
    manifest, level = model.bundle.manifest, model.guard.thresholds.level
    verdict = {
        "class_id": Output("INT64", lambda arrays: arrays.class_ids),
        "label": Output("BYTES", _labels),
        "rejected": Output("BOOL", lambda arrays: arrays.rejected),
    }
    if detail == "verdict":
        return {**verdict, "p_value": Output("FP64", lambda arrays: _coarse(arrays, level))}
    return {
        "logits": Output("FP32", lambda arrays: arrays.logits, len(manifest.classes)),
        "scores": Output("FP32", lambda arrays: arrays.scores, len(manifest.scores)),
        **verdict,
        "p_value": Output("FP64", lambda arrays: arrays.p_values),
        "confidence": Output("FP64", lambda arrays: arrays.confidences),
        "reasons": Output("BYTES", _reason_codes),
    }


def _labels(arrays: VerdictArrays) -> list[str]:
    return [arrays.classes[class_id] for class_id in arrays.class_ids.tolist()]


def _reason_codes(arrays: VerdictArrays) -> list[str]:
    """Return the codes of the reasons of each image, separated by commas."""
    codes = [""] * len(arrays.rejected)
    for index, reasons in arrays.reasons.items():
        codes[index] = ",".join(each.code for each in reasons)
    return codes


def _coarse(arrays: VerdictArrays, level: float) -> NDArray[np.float64]:
    return np.array([coarse_p_value(p, level) for p in arrays.p_values.tolist()], np.float64)


def infer_response(
    deployment: Deployment, inference: Inference, available: Mapping[str, Output], job: Job
) -> Response:
    """Build the response to an inference request, from the job with the verdicts on its images."""
    arrays = job.verdicts.arrays
    tensors: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for name, is_binary in inference.outputs.items():
        output = available[name]
        values = output.values(arrays)
        tensor: dict[str, Any] = {
            "name": name,
            "datatype": output.datatype,
            "shape": output.shape(len(values)),
        }
        if is_binary:
            data = to_bytes(values)
            binary.append(data)
            tensor["parameters"] = {"binary_data_size": len(data)}
        else:
            tensor["data"] = values if isinstance(values, list) else values.ravel()
        tensors.append(tensor)
    common = deployment.common(job)
    parameters = {"sha256": common["model"]["sha256"], **common["policy"]}
    response = {
        "model_name": deployment.name,
        "model_version": deployment.version,
        **({} if inference.id is None else {"id": inference.id}),
        # The protocol's parameters cannot be null.
        "parameters": {name: value for name, value in parameters.items() if value is not None},
        "outputs": tensors,
    }
    # NaN and infinity, which JSON cannot express, become null.
    text = orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binary:
        return Response(text, media_type=JSON)
    headers = {HEADER_LENGTH: str(len(text))}
    return Response(b"".join([text, *binary]), headers=headers, media_type=BINARY)


def to_bytes(values: Values) -> bytes:
    """Serialize a tensor: row-major and little-endian, each string after its length in 4 bytes."""
    if isinstance(values, list):
        strings = [text.encode() for text in values]
        return b"".join(len(each).to_bytes(4, "little") + each for each in strings)
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
