"""Training, attacks, evaluation and export: what needs torch and happens before serving."""

import os

# ONNX Runtime's wheels send telemetry unless they are told not to before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
