"""Judge pictures whose graph runs in Triton or KServe: the decision is made here.

    pip install ood-guard 'tritonclient[http]'
    python examples/triton/client.py localhost:8000 models/pretrained/cifar10-aloe a.png b.jpg

Needs the bundle beside the server that runs its graph, for its calibration, and neither torch nor
ONNX Runtime. Pictures are taken as trusted: the limits of `oodguard serve` are not here.
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
    """Return what runs images `(n, H, W, 3)` on the server, to logits and scores."""

    def run(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        tensor = InferInput("images", list(images.shape), "UINT8")
        tensor.set_data_from_numpy(images)
        wanted = [InferRequestedOutput("logits"), InferRequestedOutput("scores")]
        found = client.infer(model, [tensor], outputs=wanted)
        return found.as_numpy("logits"), found.as_numpy("scores")

    return run


def main() -> None:
    """Read the command line and print a line for each picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("server", help="HOST:PORT that speaks the Open Inference Protocol")
    parser.add_argument("bundle", type=Path, help="folder of the bundle whose graph runs there")
    parser.add_argument("pictures", type=Path, nargs="+")
    chosen = parser.parse_args()
    bundle = open_bundle(chosen.bundle)
    run = remote(InferenceServerClient(chosen.server), bundle.manifest.name)
    guard = CalibratedModel(bundle, Policy(score=bundle.manifest.default_score), run)
    images = [prepare(Image.open(path), bundle.manifest.input) for path in chosen.pictures]
    for path, verdict in zip(chosen.pictures, guard.predict(np.stack(images)), strict=True):
        print(f"{path}: {verdict.label}, p = {verdict.p_value:.4f}, {verdict.decision}")


if __name__ == "__main__":
    main()
