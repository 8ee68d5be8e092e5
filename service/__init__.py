"""The service: verdicts on images over HTTP and on the command line, through ONNX Runtime."""
