"""mosec serving the bundle: its front end in Rust accepts the encoded image as the body.

One worker decodes and runs a batch. On two CPUs, a separate stage for the decoding, as in some of
its examples, was slower.
"""

from collections.abc import Sequence

import mosec

from benchmarks.serving.graph import Graph, Prediction

MAX_BATCH = 64
MAX_WAIT_MS = 5


class Classifier(mosec.Worker):  # type: ignore[misc]
    """One graph in one worker."""

    def __init__(self) -> None:
        super().__init__()
        self._graph = Graph.of_environment()

    def deserialize(self, data: bytes) -> bytes:
        """Return the encoded image; it is decoded with its batch."""
        return data

    def forward(self, data: Sequence[bytes]) -> list[Prediction]:
        """Decode and run a batch."""
        return self._graph.predict(data)


def main() -> None:
    """Serve until a signal is received."""
    server = mosec.Server()
    server.append_worker(Classifier, max_batch_size=MAX_BATCH, max_wait_time=MAX_WAIT_MS)
    server.run()


if __name__ == "__main__":
    main()
