"""Graphs exported for one batch size, merged for any batch size, compared with numbers by hand."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from oodguard.models.errors import ClassifierError, ParityError
from oodguard.training.wrap.agreement import check_agreement
from oodguard.training.wrap.classifier import OriginalClassifier, read_original_classifier
from oodguard.training.wrap.graph import merge, merged_run, original_outputs
from oodguard.training.wrap.input import PixelTransform
from oodguard.training.wrap.output import OutputKind, output_scores_graph
from tests.training.wrap.classifiers import SIZE, expected_logits, exported, hand_made

IMAGES = np.random.default_rng(3).integers(0, 256, (70, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def scores() -> onnx.ModelProto:
    return output_scores_graph(OutputKind.LOGITS, classes=3)


def _merged(
    original: OriginalClassifier, pixels: PixelTransform, scores: onnx.ModelProto
) -> onnx.ModelProto:
    return merge(pixels.graph(), original, scores)


def _saved(model: onnx.ModelProto, folder: Path) -> OriginalClassifier:
    onnx.save(model, folder / "classifier.onnx")
    return read_original_classifier(folder / "classifier.onnx", input_name=None, output_name=None)


@pytest.mark.parametrize("batch", [1, 4, None], ids=str)
def test_merged_graph_of_any_batch_size_accepts_every_other(
    batch: int | None, scores: onnx.ModelProto, tmp_path: Path
) -> None:
    path = exported(tmp_path / "net.onnx", batch=batch)
    original = read_original_classifier(path, input_name=None, output_name=None)
    assert original.shape == (batch, 3, SIZE, SIZE)
    pixels = PixelTransform(layout="nchw", height=SIZE, width=SIZE)
    raw = original_outputs(original, pixels)(IMAGES)
    np.testing.assert_allclose(raw, expected_logits(IMAGES), rtol=1e-4)
    run = merged_run(_merged(original, pixels, scores))
    for n in (1, 2, 7, 64):
        np.testing.assert_allclose(run(IMAGES[:n])[0], expected_logits(IMAGES[:n]), rtol=1e-4)
    assert check_agreement(raw, run, IMAGES, OutputKind.LOGITS).images == 70


@pytest.mark.parametrize(
    ("opset", "ir_version"), [(8, 3), (11, 6), (13, 7), (17, 8)], ids=["8", "11", "13", "17"]
)
def test_merged_graph_converts_an_older_opset_to_that_of_the_scores(
    opset: int, ir_version: int, scores: onnx.ModelProto, tmp_path: Path
) -> None:
    model = hand_made(opset=opset, ir_version=ir_version, weights_are_inputs=ir_version == 3)
    merged = _merged(
        _saved(model, tmp_path), PixelTransform(layout="nhwc", height=8, width=8), scores
    )
    assert [port.name for port in merged.graph.input] == ["images"]
    assert [port.name for port in merged.graph.output] == ["logits", "scores"]
    np.testing.assert_allclose(merged_run(merged)(IMAGES)[0], expected_logits(IMAGES), rtol=1e-4)


def test_merged_graph_keeps_a_newer_opset(scores: onnx.ModelProto, tmp_path: Path) -> None:
    original = _saved(hand_made(opset=17), tmp_path)
    newer = onnx.version_converter.convert_version(original.model, 21)
    original.model.CopyFrom(newer)
    merged = _merged(original, PixelTransform(layout="nhwc", height=8, width=8), scores)
    assert {each.domain: each.version for each in merged.opset_import} == {"": 21}
    np.testing.assert_allclose(merged_run(merged)(IMAGES)[0], expected_logits(IMAGES), rtol=1e-4)


def _blending(*, batch: int) -> onnx.ModelProto:
    """Return a classifier that adds a weight of the size of its fixed batch."""
    model = hand_made(shape=(batch, SIZE, SIZE, 3), output=(batch, 3))
    graph = model.graph
    graph.node[-1].output[0] = "bare"
    graph.node.append(onnx.helper.make_node("Add", ["bare", "rows"], ["logits"]))
    rows = np.arange(batch * 3, dtype=np.float32).reshape(batch, 3)
    graph.initializer.append(onnx.numpy_helper.from_array(rows, "rows"))
    return model


def test_merged_graph_with_the_batch_size_in_its_weights_is_rejected(
    scores: onnx.ModelProto, tmp_path: Path
) -> None:
    original = _saved(_blending(batch=2), tmp_path)
    pixels = PixelTransform(layout="nhwc", height=SIZE, width=SIZE)
    raw = original_outputs(original, pixels)(IMAGES)
    run = merged_run(_merged(original, pixels, scores))
    with pytest.raises((ClassifierError, ParityError), match=r"Export .* again.* batch dimension"):
        check_agreement(raw, run, IMAGES, OutputKind.LOGITS)


def test_merged_graph_whose_outputs_depend_on_the_batch_is_rejected(
    scores: onnx.ModelProto, tmp_path: Path
) -> None:
    model = hand_made()
    graph = model.graph
    graph.node[-1].output[0] = "bare"
    graph.node.append(
        onnx.helper.make_node("ReduceMax", ["bare"], ["largest"], axes=[0], keepdims=1)
    )
    graph.node.append(onnx.helper.make_node("Sub", ["bare", "largest"], ["logits"]))
    original = _saved(model, tmp_path)
    pixels = PixelTransform(layout="nhwc", height=SIZE, width=SIZE)
    raw = original_outputs(original, pixels)(IMAGES)
    run = merged_run(_merged(original, pixels, scores))
    with pytest.raises(ParityError, match="depend on the other images of a batch"):
        check_agreement(raw, run, IMAGES, OutputKind.LOGITS)


def test_original_outputs_of_another_shape_are_rejected(tmp_path: Path) -> None:
    model = hand_made(output=("n", 3, 1, 1))
    graph = model.graph
    graph.node[-1].output[0] = "bare"
    graph.node.append(onnx.helper.make_node("Unsqueeze", ["bare", "last"], ["logits"]))
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3], np.int64), "last"))
    outputs = original_outputs(
        _saved(model, tmp_path), PixelTransform(layout="nhwc", height=8, width=8)
    )
    with pytest.raises(
        ClassifierError, match=r"shape \(1, 3, 1, 1\) for 1 images, expected \(1, classes\)"
    ):
        outputs(IMAGES)


def test_original_outputs_of_another_image_size_are_rejected(tmp_path: Path) -> None:
    outputs = original_outputs(
        _saved(hand_made(shape=(1, 8, 8, 3)), tmp_path),
        PixelTransform(layout="nhwc", height=4, width=4),
    )
    with pytest.raises(ClassifierError, match=r"does not run on pixels of shape \(1, 4, 4, 3\)"):
        outputs(np.zeros((1, 4, 4, 3), np.uint8))
