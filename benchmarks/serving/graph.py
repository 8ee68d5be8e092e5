"""A bundle's graph without a server, as the bare loops and every peer use it.

Imports no module of this project outside the package, so that a peer's environment can import it.
"""

import json
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

BUNDLE = "BENCHMARK_BUNDLE"
THREADS = "BENCHMARK_THREADS"
PORT = "BENCHMARK_PORT"
"""Environment variables of a peer: the bundle, the number of threads, and the port."""

Prediction = dict[str, object]


class Graph:
    """An ONNX Runtime session of a bundle's model.onnx, opened as the service opens it.

    It has as many threads as the service uses, and they do not spin.
    """

    def __init__(self, bundle: Path, *, threads: int) -> None:
        manifest = json.loads((bundle / "manifest.json").read_bytes())
        self._classes: list[str] = manifest["classes"]
        self._scores: list[str] = manifest["scores"]
        self.size: tuple[int, int] = (manifest["input"]["width"], manifest["input"]["height"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = ort.InferenceSession(
            (bundle / "model.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
        )

    @classmethod
    def of_environment(cls) -> "Graph":
        """Open the bundle that the environment variables name."""
        return cls(Path(os.environ[BUNDLE]), threads=int(os.environ[THREADS]))

    def decode(self, data: bytes) -> NDArray[np.uint8]:
        """Decode an image with Pillow to `(H, W, 3)` RGB of the model's size."""
        image = Image.open(BytesIO(data)).convert("RGB")
        if image.size != self.size:
            image = image.resize(self.size, Image.Resampling.BICUBIC)
        return np.asarray(image)

    def run(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run `(n, H, W, 3)` images to logits `(n, K)` and scores `(n, S)`."""
        logits, scores = self._session.run(["logits", "scores"], {"images": images})
        return logits, scores

    def predict(self, encoded: Sequence[bytes]) -> list[Prediction]:
        """Decode and run a batch; return class, confidence and scores of each image."""
        logits, scores = self.run(np.stack([self.decode(data) for data in encoded]))
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        confidences = (weights.max(axis=1) / weights.sum(axis=1)).tolist()
        return [
            {
                "label": self._classes[class_id],
                "class_id": class_id,
                "confidence": confidence,
                "scores": dict(zip(self._scores, row, strict=True)),
            }
            for class_id, confidence, row in zip(
                logits.argmax(axis=1).tolist(), confidences, scores.tolist(), strict=True
            )
        ]
