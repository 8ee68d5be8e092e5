"""Benchmark of serving, compared with the bare runtime and with other servers on the same CPUs."""

import os

# ONNX Runtime's wheels send telemetry unless this is set before they are loaded. The peers import
# ONNX Runtime through this package as well.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
