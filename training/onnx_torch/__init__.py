"""An ONNX graph run by torch, so that it has gradients.

onnx2torch does the same, but its last release is of August 2024, and it needs torchvision, which
not every build of torch can have. A classifier is a short list of operators: each is a few lines.
"""
