"""MLServer serving the bundle: the Open Inference Protocol with base64 in a BYTES tensor.

The settings are in the same folder: adaptive batching on, access log and gzip off. MLServer uses
orjson, uvloop and httptools if they are installed, as they are in its environment.
"""

import base64
import json

from mlserver import MLModel
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput

from benchmarks.serving.graph import Graph


class Classifier(MLModel):  # type: ignore[misc]
    """One graph in each worker."""

    async def load(self) -> bool:
        """Open the graph."""
        self._graph = Graph.of_environment()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Decode and run a batch, joined from requests by the batcher."""
        encoded = [base64.b64decode(image) for image in payload.inputs[0].data.root]
        verdicts = [json.dumps(each) for each in self._graph.predict(encoded)]
        output = ResponseOutput(
            name="verdicts", datatype="BYTES", shape=[len(verdicts), 1], data=verdicts
        )
        return InferenceResponse(model_name=self.name, outputs=[output])
