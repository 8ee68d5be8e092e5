"""mosec serving the bundle: its front in Rust takes the image as it is.

One worker decodes and runs a batch: on two processors a stage of its own for the decoding, as some
of its examples have it, was slower.
"""

from collections.abc import Sequence

import mosec

from benchmarks.serving.graph import Answer, Graph

MAX_BATCH = 64
MAX_WAIT_MS = 5


class Classifier(mosec.Worker):  # type: ignore[misc]
    """One graph in one worker."""

    def __init__(self) -> None:
        super().__init__()
        self._graph = Graph.of_environment()

    def deserialize(self, data: bytes) -> bytes:
        """Leave the image encoded; it is decoded with its batch."""
        return data

    def forward(self, data: Sequence[bytes]) -> list[Answer]:
        """Decode and run a batch."""
        return self._graph.answers(data)


def main() -> None:
    """Serve until a signal comes."""
    server = mosec.Server()
    server.append_worker(Classifier, max_batch_size=MAX_BATCH, max_wait_time=MAX_WAIT_MS)
    server.run()


if __name__ == "__main__":
    main()
