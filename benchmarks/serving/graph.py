"""A bundle's graph without any server: what the bare loops and every peer do with an image.

Imports nothing of this project, so that a peer's own environment can import it.
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
"""The variables that tell a peer what to serve, with how many threads, and where."""

Answer = dict[str, object]


class Graph:
    """A session of a bundle's model.onnx with what is needed to fill it and to read its outputs.

    The session is opened as the service opens it: as many threads, no spinning.
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
        """Open what the harness asks a peer to serve."""
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

    def answers(self, encoded: Sequence[bytes]) -> list[Answer]:
        """Decode a batch of images, run it, and say of each its class and its scores."""
        return self.judge([self.decode(data) for data in encoded])

    def judge(self, images: Sequence[NDArray[np.uint8]]) -> list[Answer]:
        """Run a batch of `(H, W, 3)` images and say of each its class and its scores."""
        logits, scores = self.run(np.stack(images))
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
