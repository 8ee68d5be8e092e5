"""MLServer serving the bundle: the Open Inference Protocol with base64 in a BYTES tensor.

Beside it lie its settings: adaptive batching on, access log and gzip off. orjson, uvloop and
httptools are in its environment, and it takes them by itself.
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
        verdicts = [json.dumps(answer) for answer in self._graph.answers(encoded)]
        output = ResponseOutput(
            name="verdicts", datatype="BYTES", shape=[len(verdicts), 1], data=verdicts
        )
        return InferenceResponse(model_name=self.name, outputs=[output])
