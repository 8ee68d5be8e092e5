"""A bundle's graph is laid out for Triton as Triton wants it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf import text_format

from benchmarks.shipped import NAMES, PRETRAINED
from examples.triton.repository import config, write_repository
from oodguard.models.bundle import open_bundle
from oodguard.service.settings import Settings
from tests.deploy.triton_schema import parse_config

TYPES = {onnx.TensorProto.UINT8: "TYPE_UINT8", onnx.TensorProto.FLOAT: "TYPE_FP32"}

Named = Mapping[str, tuple[str, list[int]]]


def in_graph(values: Any) -> Named:
    """Type and dimensions of tensors of a graph by name, without that of the batch."""
    return {
        value.name: (
            TYPES[value.type.tensor_type.elem_type],
            [dim.dim_value for dim in value.type.tensor_type.shape.dim[1:]],
        )
        for value in values
    }


def in_config(tensors: Any) -> Named:
    """The same, as config.pbtxt has them."""
    return {
        each.name: (
            _name_of(each, "data_type"),
            list(each.dims),
        )
        for each in tensors
    }


def _name_of(message: Any, field: str) -> str:
    values = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    name: str = values[getattr(message, field)].name
    return name


@pytest.mark.parametrize("name", NAMES)
def test_triton_is_told_the_tensors_that_the_graph_has(name: str) -> None:
    bundle = open_bundle(PRETRAINED / name)
    graph, said = onnx.load_from_string(bundle.model).graph, parse_config(config(bundle))
    assert (said.name, said.backend) == (name, "onnxruntime")
    assert in_config(said.input) == in_graph(graph.input)
    assert in_config(said.output) == in_graph(graph.output)
    # Triton's batches are the graph's first dimension, which must be free.
    assert said.max_batch_size > 1
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param


def test_triton_batches_without_waiting_within_bounds_and_runs_before_it_is_ready() -> None:
    said = parse_config(config(open_bundle(PRETRAINED / "cifar10-aloe")))
    assert said.WhichOneof("scheduling_choice") == "dynamic_batching"
    assert said.dynamic_batching.max_queue_delay_microseconds == 0
    policy = said.dynamic_batching.default_queue_policy
    assert policy.max_queue_size > 0
    assert policy.default_timeout_microseconds == 1e6 * Settings.model_fields["timeout_s"].default
    assert [each.batch_size for each in said.model_warmup] == [1, said.max_batch_size]
    for each in said.model_warmup:
        assert list(each.inputs["images"].dims) == list(said.input[0].dims)


def test_the_schema_refuses_what_triton_does_not_know() -> None:
    text = config(open_bundle(PRETRAINED / "cifar10-aloe"))
    with pytest.raises(text_format.ParseError, match="max_queue_sizes"):
        parse_config(text.replace("max_queue_size", "max_queue_sizes"))


def test_a_repository_holds_the_graph_untouched_and_the_classes(tmp_path: Path) -> None:
    bundle = open_bundle(PRETRAINED / "gtsrb-aloe")
    folder = write_repository(bundle, tmp_path, version=3)
    assert folder == tmp_path / "gtsrb-aloe"
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.pbtxt",
        "labels.txt",
        "3/model.onnx",
    }
    assert (folder / "3" / "model.onnx").read_bytes() == bundle.model
    said = parse_config((folder / "config.pbtxt").read_text(encoding="utf-8"))
    labels = (folder / said.output[0].label_filename).read_text(encoding="utf-8").splitlines()
    assert tuple(labels) == bundle.manifest.classes
