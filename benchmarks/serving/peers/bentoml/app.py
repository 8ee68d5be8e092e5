"""BentoML serving the bundle.

A batchable endpoint accepts lists; JSON of base64 is the format that it parses fastest. Adaptive
batching is on and the access log is off. The batcher trains on its first requests, so it is
measured after some seconds.
"""

import base64

import bentoml

from benchmarks.serving.graph import Graph, Prediction

MAX_BATCH = 64
# Longer waits are rejected; this is far longer than one of 64 clients waits.
MAX_LATENCY_MS = 10_000


@bentoml.service(name="classifier", workers=1, logging={"access": {"enabled": False}})
class Classifier:
    """One graph in one worker."""

    def __init__(self) -> None:
        self._graph = Graph.of_environment()

    @bentoml.api(  # type: ignore[untyped-decorator]
        batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=MAX_LATENCY_MS
    )
    def predict(self, images: list[str]) -> list[Prediction]:
        """Decode and run a batch."""
        return self._graph.predict([base64.b64decode(image) for image in images])
