"""Predict with a bundle whose graph runs in Triton or KServe, and make the decision here.

    pip install ood-guard 'tritonclient[http]'
    python examples/triton/client.py localhost:8000 models/pretrained/cifar10-aloe a.png b.jpg

The client needs the bundle for its calibration, but neither torch nor ONNX Runtime. It trusts the
images: the limits of `oodguard serve` are not applied.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

from oodguard.models.bundle import open_bundle
from oodguard.models.calibrated_model import CalibratedModel, RunGraph
from oodguard.models.decision import Policy
from oodguard.models.preprocessing import prepare


def remote(client: InferenceServerClient, model: str) -> RunGraph:
    """Return a function that runs images `(n, H, W, 3)` on the server and returns its outputs."""

    def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        tensor = InferInput("images", list(images.shape), "UINT8")
        tensor.set_data_from_numpy(images)
        outputs = [InferRequestedOutput("logits"), InferRequestedOutput("scores")]
        result = client.infer(model, [tensor], outputs=outputs)
        return result.as_numpy("logits"), result.as_numpy("scores")

    return run


def main() -> None:
    """Parse the command line and print one line per image."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("server", help="HOST:PORT of the server")
    parser.add_argument("bundle", type=Path, help="folder of the bundle whose graph it runs")
    parser.add_argument("images", type=Path, nargs="+")
    arguments = parser.parse_args()
    bundle = open_bundle(arguments.bundle)
    run = remote(InferenceServerClient(arguments.server), bundle.manifest.name)
    guard = CalibratedModel(bundle, Policy(score=bundle.manifest.default_score), run)
    images = [prepare(Image.open(path), bundle.manifest.input) for path in arguments.images]
    for path, verdict in zip(arguments.images, guard.predict(np.stack(images)), strict=True):
        print(f"{path}: {verdict.label}, p = {verdict.p_value:.4f}, {verdict.decision}")


if __name__ == "__main__":
    main()
