"""The Triton repository of a bundle matches Triton's schema and the graph."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
import tritonclient
from google.protobuf import text_format

from benchmarks.shipped import NAMES, PRETRAINED
from examples.triton.repository import config, write_repository
from oodguard.models.bundle import open_bundle
from oodguard.service.settings import Settings

TYPES = {onnx.TensorProto.UINT8: "TYPE_UINT8", onnx.TensorProto.FLOAT: "TYPE_FP32"}

Named = Mapping[str, tuple[str, list[int]]]


def parse_config(text: str) -> Any:
    """Parse a config.pbtxt by the schema of Triton's client."""
    # Loaded from its file, because the package around it requires gRPC.
    schema = Path(tritonclient.__file__).parent / "grpc" / "model_config_pb2.py"
    spec = importlib.util.spec_from_file_location("model_config_pb2", schema)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return text_format.Parse(text, module.ModelConfig())


def in_graph(values: Any) -> Named:
    """Return type and dimensions, without the batch, of the tensors of a graph by name."""
    return {
        value.name: (
            TYPES[value.type.tensor_type.elem_type],
            [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]],
        )
        for value in values
    }


def in_config(tensors: Any) -> Named:
    """Return the same for the tensors of config.pbtxt."""
    return {each.name: (_enum_name(each, "data_type"), list(each.dims)) for each in tensors}


def _enum_name(message: Any, field: str) -> str:
    values = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    name: str = values[getattr(message, field)].name
    return name


@pytest.mark.parametrize("name", NAMES)
def test_triton_config_has_the_tensors_of_the_graph(name: str) -> None:
    bundle = open_bundle(PRETRAINED / name)
    graph, parsed = onnx.load_from_string(bundle.model).graph, parse_config(config(bundle))
    assert (parsed.name, parsed.backend) == (name, "onnxruntime")
    assert in_config(parsed.input) == in_graph(graph.input)
    assert in_config(parsed.output) == in_graph(graph.output)
    # Triton's batch is the first dimension of the graph, which must be dynamic.
    assert parsed.max_batch_size > 1
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param


def test_triton_config_has_batching_limits_and_warm_up() -> None:
    parsed = parse_config(config(open_bundle(PRETRAINED / "cifar10-aloe")))
    assert parsed.WhichOneof("scheduling_choice") == "dynamic_batching"
    assert parsed.dynamic_batching.max_queue_delay_microseconds == 0
    policy = parsed.dynamic_batching.default_queue_policy
    assert policy.max_queue_size > 0
    assert policy.default_timeout_microseconds == 1e6 * Settings.model_fields["timeout_s"].default
    assert [each.batch_size for each in parsed.model_warmup] == [1, parsed.max_batch_size]
    for each in parsed.model_warmup:
        assert list(each.inputs["images"].dims) == list(parsed.input[0].dims)


def test_triton_schema_rejects_unknown_fields() -> None:
    text = config(open_bundle(PRETRAINED / "cifar10-aloe"))
    with pytest.raises(text_format.ParseError, match="max_queue_sizes"):
        parse_config(text.replace("max_queue_size", "max_queue_sizes"))


def test_triton_repository_has_the_unchanged_graph_and_the_classes(tmp_path: Path) -> None:
    bundle = open_bundle(PRETRAINED / "gtsrb-aloe")
    folder = write_repository(bundle, tmp_path, version=3)
    assert folder == tmp_path / "gtsrb-aloe"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.pbtxt",
        "labels.txt",
        "3/model.onnx",
    }
    assert (folder / "3" / "model.onnx").read_bytes() == bundle.model
    parsed = parse_config((folder / "config.pbtxt").read_text(encoding="utf-8"))
    labels = (folder / parsed.output[0].label_filename).read_text(encoding="utf-8").splitlines()
    assert tuple(labels) == bundle.manifest.classes
