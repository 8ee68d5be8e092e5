"""The Open Inference Protocol: routes, requests and responses under /v2."""
