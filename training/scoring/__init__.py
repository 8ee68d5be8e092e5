"""A trained network with its OOD scores: fitting, the exported graph, parity with ONNX Runtime."""
