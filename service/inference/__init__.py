"""Many requests to one run, and the only import of ONNX Runtime."""
