"""Fine-tuning brings a small INT8 network nearer to float32."""

from itertools import pairwise

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from oodguard.training.quantize import finetune as module
from oodguard.training.quantize.finetune import Decision, finetune
from oodguard.training.quantize.graph import prepare, quantize_graph
from oodguard.training.quantize.weights import biases, scale_names, weights

RNG = np.random.default_rng(1)
TRAINING, OTHERS = (
    (RNG.random((64, 8, 8, 3)) * RNG.uniform(10, 255, (64, 1, 1, 3))).astype(np.uint8)
    for _ in range(2)
)


def _net() -> bytes:
    """Four convolutions of random weights, without names; the score is the smallest logit."""
    channels = (3, 8, 8, 8, 4)
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["h0"], perm=[0, 3, 1, 2]),
    ]
    stored = {}
    for k, (before, after) in enumerate(pairwise(channels)):
        stored[f"w{k}"] = RNG.normal(size=(after, before, 3, 3)) / (255 if k == 0 else 4)
        stored[f"b{k}"] = RNG.normal(size=after) / 4
        nodes.append(helper.make_node("Conv", [f"h{k}", f"w{k}", f"b{k}"], [f"c{k}"]))
        nodes.append(helper.make_node("Relu", [f"c{k}"], [f"h{k + 1}"]))
        if k < 3:
            nodes[-2].attribute.append(helper.make_attribute("pads", [1, 1, 1, 1]))
    nodes[-1] = helper.make_node("ReduceMean", ["c3"], ["logits"], axes=[2, 3], keepdims=0)
    nodes.append(helper.make_node("ReduceMin", ["logits"], ["scores"], axes=[1]))
    outputs = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", size])
        for name, size in (("logits", 4), ("scores", 1))
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, ["n", 8, 8, 3])],
        outputs,
        [numpy_helper.from_array(each.astype(np.float32), name) for name, each in stored.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    serialized: bytes = helper.make_model(
        graph, opset_imports=opset, ir_version=8
    ).SerializeToString()
    return serialized


def _logits(model: bytes) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits: NDArray[np.float32] = session.run(["logits"], {"images": OTHERS})[0]
    return logits


def test_finetune_brings_int8_nearer_to_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 100)
    monkeypatch.setattr(module, "AVERAGED_STEPS", 5)
    model = _net()
    float32 = prepare(model, TRAINING)
    int8 = quantize_graph(float32, TRAINING)
    assert (len(weights(int8, float32)), len(biases(int8, float32))) == (2, 2)
    assert len(scale_names(int8)) == 3
    before = _logits(int8.SerializeToString())
    stages: list[str] = []
    decision = Decision(column=0, threshold=float(np.median(_logits(model).min(axis=1))))
    finetune(int8, float32, TRAINING, decision, stage=stages.append)
    after, expected = _logits(int8.SerializeToString()), _logits(model)
    assert np.abs(after - expected).mean() < 0.8 * np.abs(before - expected).mean()
    assert stages[-1] == "fine-tuning, step 90 of 100"
    tensors = {each.name: numpy_helper.to_array(each) for each in int8.graph.initializer}
    for bias in biases(int8, float32):
        np.testing.assert_allclose(
            tensors[bias.scale], tensors[bias.input_scale] * tensors[bias.weight_scale], rtol=1e-6
        )
