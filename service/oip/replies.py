"""What was found, as an answer of the protocol: JSON, and bytes behind it where they are wanted."""

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

from models.verdicts import Columns
from service.deployments.deployment import Deployment
from service.oip.errors import JSON
from service.oip.outputs import Output, Values
from service.oip.requests import Inference, Requested

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
