"""Graphs exported for one batch size, merged for any batch size, compared with numbers by hand."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from oodguard.models.errors import ClassifierError, ParityError
from oodguard.training.wrap.agreement import check_agreement
from oodguard.training.wrap.classifier import OriginalClassifier, read_original_classifier
from oodguard.training.wrap.graph import merge, merged_run
from oodguard.training.wrap.input import PixelTransform
from oodguard.training.wrap.original import original_outputs
from oodguard.training.wrap.output import OutputKind
from oodguard.training.wrap.scores import WrappedScores
from tests.training.wrap.classifiers import GAIN, SIZE, Dims, expected_logits, exported, hand_made

PIXELS = PixelTransform(layout="nhwc", height=SIZE, width=SIZE)
IMAGES = np.random.default_rng(3).integers(0, 256, (70, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def scores() -> onnx.ModelProto:
    return WrappedScores(OutputKind.LOGITS).graph(outputs=3)


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
    raw, _ = original_outputs(original, pixels)(IMAGES)
    np.testing.assert_allclose(raw, expected_logits(IMAGES), rtol=1e-4)
    run = merged_run(merge(pixels.graph(), original, 3, None, scores))
    for n in (1, 2, 7, 64):
        np.testing.assert_allclose(run(IMAGES[:n])[0], expected_logits(IMAGES[:n]), rtol=1e-4)
    assert check_agreement(raw, run, IMAGES, WrappedScores(OutputKind.LOGITS)).images == 70


@pytest.mark.parametrize(
    ("opset", "ir_version"), [(8, 3), (11, 6), (13, 7), (17, 8)], ids=["8", "11", "13", "17"]
)
def test_merged_graph_converts_an_older_opset_to_that_of_the_scores(
    opset: int, ir_version: int, scores: onnx.ModelProto, tmp_path: Path
) -> None:
    model = hand_made(opset=opset, ir_version=ir_version, weights_are_inputs=ir_version == 3)
    merged = merge(PIXELS.graph(), _saved(model, tmp_path), 3, None, scores)
    assert [port.name for port in merged.graph.input] == ["images"]
    assert [port.name for port in merged.graph.output] == ["logits", "scores"]
    np.testing.assert_allclose(merged_run(merged)(IMAGES)[0], expected_logits(IMAGES), rtol=1e-4)


def test_original_classifier_reports_an_opset_that_onnx_runtime_does_not_support(
    tmp_path: Path,
) -> None:
    nodes = [
        onnx.helper.make_node("GlobalAveragePool", ["input"], ["means"]),
        onnx.helper.make_node("Flatten", ["means"], ["logits"]),
    ]
    ports = [
        onnx.helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, ["n", 3, SIZE, SIZE]),
        onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 3]),
    ]
    graph = onnx.helper.make_graph(nodes, "graph", ports[:1], ports[1:])
    imports = [onnx.helper.make_opsetid("", 999)]
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=8)
    with pytest.raises(ClassifierError) as caught:
        original_outputs(_saved(model, tmp_path), PIXELS)
    assert re.fullmatch(
        r"opset 999 of ai\.onnx, expected at most \d+, the newest that ONNX Runtime"
        r" \S+ supports\. Export the classifier again with an older opset\.",
        str(caught.value),
    )


def test_original_classifier_ignores_the_opset_of_a_domain_without_nodes(
    scores: onnx.ModelProto, tmp_path: Path
) -> None:
    model = hand_made()
    model.opset_import.append(onnx.helper.make_opsetid("ai.onnx.ml", 999))
    _check_agreement(model, tmp_path, scores)


def test_merged_graph_with_a_loop_that_reads_weights_of_the_outer_graph(
    scores: onnx.ModelProto, tmp_path: Path
) -> None:
    model = _with_node("Identity", ["looped"])
    info = onnx.helper.make_tensor_value_info
    kinds = onnx.TensorProto
    body = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Identity", ["more"], ["more_"]),
            onnx.helper.make_node("Add", ["sum", "gain"], ["sum_"]),
        ],
        "body",
        [
            info("step", kinds.INT64, []),
            info("more", kinds.BOOL, []),
            info("sum", kinds.FLOAT, ["n", 3]),
        ],
        [info("more_", kinds.BOOL, []), info("sum_", kinds.FLOAT, ["n", 3])],
    )
    count = onnx.numpy_helper.from_array(np.array(2, np.int64), "count")
    model.graph.initializer.append(count)
    model.graph.node.insert(
        4, onnx.helper.make_node("Loop", ["count", "", "bare"], ["looped"], body=body)
    )
    merged = merge(PIXELS.graph(), _saved(model, tmp_path), 3, None, scores)
    expected = expected_logits(IMAGES) + 2 * GAIN
    np.testing.assert_allclose(merged_run(merged)(IMAGES)[0], expected, rtol=1e-4)


def test_merged_graph_of_a_classifier_with_the_names_of_added_tensors(
    scores: onnx.ModelProto, tmp_path: Path
) -> None:
    model = hand_made()
    model.graph.node[1].output[0] = model.graph.node[2].input[0] = "oodguard_raw"
    _check_agreement(model, tmp_path, scores)


def test_error_of_onnx_runtime_has_no_place_in_its_source_files(tmp_path: Path) -> None:
    model = hand_made()
    model.graph.node[3].domain = "acme"
    model.opset_import.append(onnx.helper.make_opsetid("acme", 1))
    with pytest.raises(ClassifierError) as caught:
        original_outputs(_saved(model, tmp_path), PIXELS)
    assert re.fullmatch(
        r"ONNX Runtime \S+ cannot load the classifier: Fatal error: acme:Mul\(-1\) is not a"
        r" registered function/op\. Export the classifier again, with operators of ONNX Runtime"
        r" only",
        str(caught.value),
    )


def test_merged_graph_keeps_a_newer_opset(scores: onnx.ModelProto, tmp_path: Path) -> None:
    original = _saved(hand_made(opset=17), tmp_path)
    newer = onnx.version_converter.convert_version(original.model, 21)
    original.model.CopyFrom(newer)
    merged = merge(PIXELS.graph(), original, 3, None, scores)
    assert {each.domain: each.version for each in merged.opset_import} == {"": 21}
    np.testing.assert_allclose(merged_run(merged)(IMAGES)[0], expected_logits(IMAGES), rtol=1e-4)


def _with_node(operator: str, inputs: list[str], **shapes: Dims) -> onnx.ModelProto:
    """Return the classifier with another last operator, for which its logits are `bare`."""
    model = hand_made(**shapes)  # type: ignore[arg-type]
    model.graph.node[-1].output[0] = "bare"
    model.graph.node.append(onnx.helper.make_node(operator, inputs, ["logits"]))
    return model


def _check_agreement(model: onnx.ModelProto, folder: Path, scores: onnx.ModelProto) -> None:
    original = _saved(model, folder)
    raw, _ = original_outputs(original, PIXELS)(IMAGES)
    run = merged_run(merge(PIXELS.graph(), original, 3, None, scores))
    check_agreement(raw, run, IMAGES, WrappedScores(OutputKind.LOGITS))


def test_merged_graph_with_the_batch_size_in_its_weights_is_rejected(
    scores: onnx.ModelProto, tmp_path: Path
) -> None:
    model = _with_node("Add", ["bare", "rows"], shape=(2, SIZE, SIZE, 3), output=(2, 3))
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    model.graph.initializer.append(onnx.numpy_helper.from_array(rows, "rows"))
    with pytest.raises((ClassifierError, ParityError), match=r"Export .* again.* batch dimension"):
        _check_agreement(model, tmp_path, scores)


def test_merged_graph_whose_outputs_depend_on_the_batch_is_rejected(
    scores: onnx.ModelProto, tmp_path: Path
) -> None:
    model = _with_node("Sub", ["bare", "largest"])
    largest = onnx.helper.make_node("ReduceMax", ["bare"], ["largest"], axes=[0], keepdims=1)
    model.graph.node.insert(len(model.graph.node) - 1, largest)
    with pytest.raises(ParityError, match="depend on the other images of a batch"):
        _check_agreement(model, tmp_path, scores)


@pytest.mark.parametrize(("shape", "accepted"), [((3, 1, 1), True), ((1, 1, 3), False)])
def test_original_outputs_of_other_shapes(
    shape: tuple[int, ...], accepted: bool, scores: onnx.ModelProto, tmp_path: Path
) -> None:
    model = _with_node("Reshape", ["bare", "shape"], output=("n", *shape))
    sizes = onnx.numpy_helper.from_array(np.array([-1, *shape], np.int64), "shape")
    model.graph.initializer.append(sizes)
    if accepted:  # as SqueezeNet returns them
        _check_agreement(model, tmp_path, scores)
        return
    with pytest.raises(
        ClassifierError, match=r"shape \(1, 1, 1, 3\) for 1 image, expected \(1, classes\)"
    ):
        original_outputs(_saved(model, tmp_path), PIXELS)(IMAGES)


def test_original_outputs_of_another_image_size_are_rejected(tmp_path: Path) -> None:
    outputs = original_outputs(
        _saved(hand_made(shape=(1, 8, 8, 3)), tmp_path),
        PixelTransform(layout="nhwc", height=4, width=4),
    )
    with pytest.raises(ClassifierError, match=r"does not run on pixels of shape \(1, 4, 4, 3\)"):
        outputs(np.zeros((1, 4, 4, 3), np.uint8))
