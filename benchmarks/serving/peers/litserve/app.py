"""LitServe serving the bundle.

It reads forms and JSON alone, so the image comes as base64. As its documentation advises for
speed: `fast_queue`, dynamic batching, and on a CPU as many workers as processors.
"""

import base64
import os
from collections.abc import Sequence

import litserve

from benchmarks.serving.graph import PORT, THREADS, Answer, Graph

MAX_BATCH = 64


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """One graph in each worker."""

    def setup(self, device: str) -> None:  # noqa: ARG002
        """Open the graph."""
        self._graph = Graph.of_environment()

    def decode_request(self, request: dict[str, str]) -> bytes:
        """Take the image out of the JSON; it is decoded with its batch."""
        return base64.b64decode(request["image"])

    def batch(self, inputs: Sequence[bytes]) -> Sequence[bytes]:
        """Leave the images apart, as they have several sizes."""
        return inputs

    def predict(self, encoded: Sequence[bytes]) -> list[Answer]:
        """Decode and run a batch."""
        return self._graph.answers(encoded)

    def unbatch(self, output: list[Answer]) -> list[Answer]:
        """One answer a request."""
        return output


def main() -> None:
    """Serve until a signal comes."""
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
