"""What serving costs beside the runtime alone and beside other servers, on the same processors."""

import os

# ONNX Runtime's wheels send telemetry unless they are told not to before they are loaded. Peers
# load it through this package as well.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
