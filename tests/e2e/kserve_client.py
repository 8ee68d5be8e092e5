"""Send requests with KServe's client, in an environment that has it; see `test_kserve_client`.

Reads {"url": ..., "model": ..., "images": [...]} and writes the client's results, both as JSON.
"""

import asyncio
import json
import sys
from typing import Any

import numpy as np
from httpx import HTTPStatusError
from kserve import InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

Json = dict[str, Any]


def request(options: Json, *, binary: bool, **rest: Any) -> InferRequest:
    """Return a request whose tensor is in the JSON, or binary data after it."""
    images = np.array(options["images"], np.uint8)
    tensor = InferInput("images", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary)
    return InferRequest(model_name=options["model"], infer_inputs=[tensor], **rest)


def result(response: InferResponse) -> Json:
    """Return the client's view of a response."""
    return {
        "id": response.id,
        "model": response.model_name,
        "parameters": response.parameters,
        "outputs": {output.name: _plain(output.as_numpy()) for output in response.outputs},
    }


def _plain(values: Any) -> list[Any]:
    return [each.decode() if isinstance(each, bytes) else each for each in values.tolist()]


async def run(options: Json) -> Json:
    """Request health, inference in JSON and in bytes, selected outputs, and an error."""
    url, model = options["url"], options["model"]
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        selected = [RequestedOutput("label"), RequestedOutput("p_value", {"binary_data": True})]
        try:
            await client.infer(url, request(options, binary=True), model_name="other")
            error = ""
        except HTTPStatusError as rejection:
            error = str(rejection)
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, model),
            "other_ready": await client.is_model_ready(url, "other"),
            "in_json": result(await client.infer(url, request(options, binary=False), model)),
            "in_bytes": result(
                await client.infer(
                    url,
                    request(options, binary=True, parameters={"binary_data_output": True}),
                    model,
                )
            ),
            "selected": result(
                await client.infer(
                    url,
                    request(options, binary=True, request_id="mine", request_outputs=selected),
                    model,
                )
            ),
            "error": error,
        }


if __name__ == "__main__":
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)
