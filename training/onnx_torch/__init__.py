"""Run ONNX graphs in torch, operator by operator, so that they have gradients.

onnx2torch does the same, but its last release is of August 2024, and it requires torchvision, which
is not available for every build of torch. Each of the operators of a classifier is a few lines.
"""
