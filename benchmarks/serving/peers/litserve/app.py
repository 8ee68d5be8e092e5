"""LitServe serving the bundle.

It accepts forms and JSON only, so the image is sent as base64. As its documentation advises for
speed: `fast_queue`, dynamic batching, and as many workers as CPUs.
"""

import base64
import os
from collections.abc import Sequence

import litserve

from benchmarks.serving.graph import PORT, THREADS, Graph, Prediction

MAX_BATCH = 64


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """One graph in each worker."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Open the graph."""
        self._graph = Graph.of_environment()

    def decode_request(self, request: dict[str, str]) -> bytes:
        """Return the encoded image; it is decoded with its batch."""
        return base64.b64decode(request["image"])

    def batch(self, inputs: Sequence[bytes]) -> Sequence[bytes]:
        """Return the images unchanged, because their sizes may differ."""
        return inputs

    def predict(self, encoded: Sequence[bytes]) -> list[Prediction]:
        """Decode and run a batch."""
        return self._graph.predict(encoded)

    def unbatch(self, output: list[Prediction]) -> list[Prediction]:
        """Return one response per request."""
        return output


def main() -> None:
    """Serve until a signal is received."""
    server = litserve.LitServer(
        Classifier(max_batch_size=MAX_BATCH, batch_timeout=0.002),
        accelerator="cpu",
        workers_per_device=int(os.environ[THREADS]),
        fast_queue=True,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ[PORT]),
        generate_client_file=False,
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
