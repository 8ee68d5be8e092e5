"""Somebody's ONNX classifier as a bundle: scores added, calibrated, measured, not hardened."""
