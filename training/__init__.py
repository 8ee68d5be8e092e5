"""Training, attacks, evaluation and export, with torch."""

import os

# ONNX Runtime's wheels send telemetry unless this is set before the import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
