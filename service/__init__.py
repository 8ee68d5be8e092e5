"""The service: image verdicts over HTTP and on the command line, with ONNX Runtime."""

import os

# ONNX Runtime's wheels send telemetry unless this is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
