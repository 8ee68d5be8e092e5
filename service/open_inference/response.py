"""What was found, as an answer of the protocol: JSON, and bytes behind it where they are wanted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from oodguard.models.verdicts import Columns
from oodguard.service.api.problems import JSON
from oodguard.service.inference.model import LoadedModel
from oodguard.service.open_inference.request import Inference, Requested
from oodguard.service.registry.deployment import Deployment
from oodguard.service.responses import Detail, coarse_p_value

Datatype: TypeAlias = Literal["BOOL", "BYTES", "FP32", "FP64", "INT64"]

Values: TypeAlias = NDArray[Any] | list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """One tensor of an answer.

    Attributes:
        datatype: By the protocol's names; BYTES are strings.
        width: Its second dimension, if it has one; the first is that of the images.
        values: Picks it out of what was found.
    """

    datatype: Datatype
    values: Callable[[Columns], Values]
    width: int | None = None

    def shape(self, images: int) -> list[int]:
        """Its shape for so many images."""
        return [images] if self.width is None else [images, self.width]


def offered(model: LoadedModel, detail: Detail) -> Mapping[str, Output]:
    """The outputs of a model by name, in the order in which they come where none are named.

    With detail `verdict`, what an attacker could climb is not there, and p-values are coarse.
    """
    manifest, alpha = model.bundle.manifest, model.guard.policy.alpha
    verdict = {
        "class_id": Output(datatype="INT64", values=lambda found: found.class_ids),
        "label": Output(datatype="BYTES", values=_labels),
        "rejected": Output(datatype="BOOL", values=lambda found: found.rejected),
    }
    if detail == "verdict":
        return {
            **verdict,
            "p_value": Output(datatype="FP64", values=lambda found: _coarse(found, alpha)),
        }
    return {
        "logits": Output(
            datatype="FP32", values=lambda found: found.logits, width=len(manifest.classes)
        ),
        "scores": Output(
            datatype="FP32", values=lambda found: found.scores, width=len(manifest.scores)
        ),
        **verdict,
        "p_value": Output(datatype="FP64", values=lambda found: found.p_values),
        "confidence": Output(datatype="FP64", values=lambda found: found.confidences),
    }


def _labels(found: Columns) -> list[str]:
    return [found.classes[class_id] for class_id in found.class_ids.tolist()]


def _coarse(found: Columns, alpha: float) -> NDArray[np.float64]:
    return np.array([coarse_p_value(p, alpha) for p in found.p_values.tolist()], np.float64)


HEADER_LENGTH = "Inference-Header-Content-Length"

BINARY = "application/octet-stream"


def reply(
    deployment: Deployment, inference: Inference, offered: Mapping[str, Output], found: Columns
) -> Response:
    """Answer an inference request.

    Args:
        deployment: Who judged.
        inference: The request.
        offered: The outputs that there are.
        found: What was found of its images.
    """
    tensors: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for requested in inference.outputs:
        tensor, data = _tensor(requested, offered[requested.name], found)
        tensors.append(tensor)
        binary.extend(data)
    answer = {
        "model_name": deployment.name,
        "model_version": deployment.version,
        **({} if inference.id is None else {"id": inference.id}),
        "parameters": _parameters(deployment),
        "outputs": tensors,
    }
    # NaN and infinity, for which JSON has no numbers, become null.
    text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not any(requested.binary for requested in inference.outputs):
        return Response(text, media_type=JSON)
    headers = {HEADER_LENGTH: str(len(text))}
    return Response(b"".join([text, *binary]), headers=headers, media_type=BINARY)


def _tensor(
    requested: Requested, output: Output, found: Columns
) -> tuple[dict[str, Any], list[bytes]]:
    """One output: what the JSON says of it, and the bytes that go behind the JSON."""
    values = output.values(found)
    tensor = {
        "name": requested.name,
        "datatype": output.datatype,
        "shape": output.shape(len(values)),
    }
    if not requested.binary:
        return {**tensor, "data": values if isinstance(values, list) else values.ravel()}, []
    data = serialized(values)
    return {**tensor, "parameters": {"binary_data_size": len(data)}}, [data]


def serialized(values: Values) -> bytes:
    """A tensor as bytes: row-major and little-endian, each string behind its length in 4 bytes."""
    if isinstance(values, list):
        strings = [text.encode() for text in values]
        return b"".join(len(each).to_bytes(4, "little") + each for each in strings)
    return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()


def _parameters(deployment: Deployment) -> dict[str, str | float]:
    """Who judged, and under which policy; the protocol has no null."""
    said = {"sha256": deployment.constant["model"]["sha256"], **deployment.constant["policy"]}
    return {name: value for name, value in said.items() if value is not None}
