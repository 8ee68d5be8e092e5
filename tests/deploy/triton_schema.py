"""Triton's schema of config.pbtxt, from the files of its client."""

import importlib.util
from pathlib import Path
from typing import Any

import tritonclient
from google.protobuf import text_format


def parse_config(text: str) -> Any:
    """Read a config.pbtxt.

    Raises:
        text_format.ParseError: The text does not match the schema.
    """
    # Loaded from its file, because the package around it requires gRPC.
    schema = Path(tritonclient.__file__).parent / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", schema)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return text_format.Parse(text, module.ModelConfig())
