"""The Open Inference Protocol, version 2, over REST: the same verdicts for its clients.

https://github.com/kserve/open-inference-protocol, with the binary tensor data extension.
"""
