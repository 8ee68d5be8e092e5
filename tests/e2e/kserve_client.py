"""Asks a server through KServe's own client, in an environment that has it; see `test_kserve`.

Reads {"url": ..., "model": ..., "images": [...]} and writes what the client said, both as JSON.
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


def request(asked: Json, *, binary: bool, **rest: Any) -> InferRequest:
    """An inference request with its tensor behind the JSON or in it."""
    images = np.array(asked["images"], np.uint8)
    tensor = InferInput("images", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary)
    return InferRequest(model_name=asked["model"], infer_inputs=[tensor], **rest)


def told(response: InferResponse) -> Json:
    """What the client makes of an answer."""
    return {
        "id": response.id,
        "model": response.model_name,
        "parameters": response.parameters,
        "outputs": {output.name: _plain(output.as_numpy()) for output in response.outputs},
    }


def _plain(values: Any) -> list[Any]:
    return [each.decode() if isinstance(each, bytes) else each for each in values.tolist()]


async def ask(asked: Json) -> Json:
    """Health, inference in JSON and in bytes, chosen outputs, and an error."""
    url, model = asked["url"], asked["model"]
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        wanted = [RequestedOutput("label"), RequestedOutput("p_value", {"binary_data": True})]
        try:
            await client.infer(url, request(asked, binary=True), model_name="other")
            error = ""
        except HTTPStatusError as refusal:
            error = str(refusal)
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, model),
            "other_ready": await client.is_model_ready(url, "other"),
            "in_json": told(await client.infer(url, request(asked, binary=False), model)),
            "in_bytes": told(
                await client.infer(
                    url,
                    request(asked, binary=True, parameters={"binary_data_output": True}),
                    model,
                )
            ),
            "chosen": told(
                await client.infer(
                    url,
                    request(asked, binary=True, request_id="mine", request_outputs=wanted),
                    model,
                )
            ),
            "error": error,
        }


if __name__ == "__main__":
    json.dump(asyncio.run(ask(json.load(sys.stdin))), sys.stdout)
