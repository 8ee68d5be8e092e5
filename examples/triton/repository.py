"""Write a bundle as a model repository of Triton Inference Server.

    python examples/triton/repository.py models/pretrained/cifar10-aloe /tmp/triton
    tritonserver --model-repository=/tmp/triton

The graph is copied byte for byte. docs/other-runtimes.md lists the features of the service that
Triton does not have.
"""

import argparse
from pathlib import Path

from oodguard.models.bundle import MODEL, Bundle, open_bundle

MAX_BATCH = 64
MAX_QUEUE_SIZE = 1024
TIMEOUT_US = 30_000_000

CONFIG = """\
name: "{name}"
backend: "onnxruntime"
max_batch_size: {max_batch}
input [
  {{ name: "images" data_type: TYPE_UINT8 dims: [ {height}, {width}, 3 ] }}
]
output [
  {{ name: "logits" data_type: TYPE_FP32 dims: [ {classes} ] label_filename: "labels.txt" }},
  {{ name: "scores" data_type: TYPE_FP32 dims: [ {scores} ] }}
]
# Queued images are run as soon as an instance is free, without waiting for more.
dynamic_batching {{
  default_queue_policy {{
    max_queue_size: {max_queue_size}
    timeout_action: REJECT
    default_timeout_microseconds: {timeout_us}
    allow_timeout_override: true
  }}
}}
# The model is ready after these runs.
model_warmup [
  {warm_one},
  {warm_full}
]
"""
WARM_UP = (
    '{{ name: "{n}" batch_size: {n} inputs {{ key: "images" value '
    "{{ data_type: TYPE_UINT8 dims: [ {height}, {width}, 3 ] zero_data: true }} }} }}"
)


def config(bundle: Bundle) -> str:
    """Return the config.pbtxt of a bundle."""
    manifest = bundle.manifest
    size = {"height": manifest.input.height, "width": manifest.input.width}
    return CONFIG.format(
        name=manifest.name,
        max_batch=MAX_BATCH,
        classes=len(manifest.classes),
        scores=len(manifest.scores),
        max_queue_size=MAX_QUEUE_SIZE,
        timeout_us=TIMEOUT_US,
        warm_one=WARM_UP.format(n=1, **size),
        warm_full=WARM_UP.format(n=MAX_BATCH, **size),
        **size,
    )


def write_repository(bundle: Bundle, repository: Path, *, version: int) -> Path:
    """Write a bundle into `repository`, next to existing models; return its folder.

    Raises:
        OSError: a file cannot be written.
    """
    folder = repository / bundle.manifest.name
    graph = folder / str(version) / MODEL
    graph.parent.mkdir(parents=True, exist_ok=True)
    graph.write_bytes(bundle.model)
    labels = "".join(f"{name}\n" for name in bundle.manifest.classes)
    (folder / "labels.txt").write_text(labels, encoding="utf-8")
    (folder / "config.pbtxt").write_text(config(bundle), encoding="utf-8")
    return folder


def main() -> None:
    """Parse the command line and write the repository."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundle", type=Path, help="folder of the bundle")
    parser.add_argument("repository", type=Path, help="folder of Triton's models")
    # A bundle's version may be any word; Triton's is an integer, and the largest is served.
    parser.add_argument("--version", type=int, default=1, help="Triton's version of the model")
    chosen = parser.parse_args()
    print(write_repository(open_bundle(chosen.bundle), chosen.repository, version=chosen.version))


if __name__ == "__main__":
    main()
