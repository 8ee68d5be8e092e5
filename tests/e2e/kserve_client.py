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


def plain(values: Any) -> list[Any]:
    return [each.decode() if isinstance(each, bytes) else each for each in values.tolist()]


def result(response: InferResponse) -> Json:
    """Return the client's view of a response."""
    return {
        "id": response.id,
        "model": response.model_name,
        "parameters": response.parameters,
        "outputs": {output.name: plain(output.as_numpy()) for output in response.outputs},
    }


async def run(options: Json) -> Json:
    """Request health, inference in JSON and in bytes, selected outputs, and an error."""
    url, model = options["url"], options["model"]
    images = np.array(options["images"], np.uint8)
    selected = [RequestedOutput("label"), RequestedOutput("p_value", {"binary_data": True})]
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:

        async def infer(name: str = model, *, binary: bool = True, **rest: Any) -> Json:
            """Send the images in the JSON, or as binary data after it."""
            tensor = InferInput("images", list(images.shape), "UINT8")
            tensor.set_data_from_numpy(images, binary_data=binary)
            request = InferRequest(model_name=model, infer_inputs=[tensor], **rest)
            return result(await client.infer(url, request, name))

        try:
            error = str(await infer("other"))
        except HTTPStatusError as rejection:
            error = str(rejection)
        return {
            "health": [
                await client.is_server_live(url),
                await client.is_server_ready(url),
                await client.is_model_ready(url, model),
                await client.is_model_ready(url, "other"),
            ],
            "in_json": await infer(binary=False),
            "in_bytes": await infer(parameters={"binary_data_output": True}),
            "selected": await infer(request_id="mine", request_outputs=selected),
            "error": error,
        }


if __name__ == "__main__":
    json.dump(asyncio.run(run(json.load(sys.stdin))), sys.stdout)
