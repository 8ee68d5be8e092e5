"""Wrap an existing ONNX classifier in a bundle: scores added, calibrated, not hardened."""
