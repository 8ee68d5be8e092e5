"""Inference: ONNX Runtime sessions, the batch queue and the threads that run batches."""
