"""The service: verdicts on images over HTTP and on the command line, through ONNX Runtime."""

import os

# ONNX Runtime's wheels send telemetry unless they are told not to before they are loaded.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
