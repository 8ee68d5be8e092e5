"""Feature scores of a wrapped classifier, compared with numpy by hand."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from oodguard.models.bundle import open_bundle
from oodguard.models.errors import ClassifierError
from oodguard.sources.reader import source_at
from oodguard.training.cli.app import app
from oodguard.training.data.dataset import ImageSet, load
from oodguard.training.scoring.parity import onnx_run
from oodguard.training.wrap.classifier import read_original_classifier
from oodguard.training.wrap.features import find_features
from tests.training.wrap.classifiers import (
    GAIN,
    SIZE,
    draw_folder,
    draw_greys,
    exported,
    hand_made,
)

Values = NDArray[np.float64]
SCORES = ("knn", "mahalanobis", "relative_mahalanobis", "vim")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features")
    exported(folder / "net.onnx", batch=1)
    draw_folder(folder / "held-out", each=40)
    draw_folder(folder / "training", each=30, seed=7)
    draw_greys(folder / "greys")
    return folder


def _wrap(folder: Path, out: Path, *more: object) -> Result:
    words = ["wrap", folder / "net.onnx", "--data", folder / "held-out", "--out", out, *more]
    return CliRunner().invoke(app, [str(word) for word in words])


def _images(path: Path, folder: Path) -> ImageSet:
    return load(source_at(path), open_bundle(folder / "bundle").manifest.input, labelled=True)


def _features(images: NDArray[np.uint8]) -> Values:
    """The means of the quadrants in blue, green, red: the input of ColourNet's last layer."""
    half = SIZE // 2
    quadrants = images.reshape(-1, 2, half, 2, half, 3).mean(axis=(2, 4)) / 255
    return np.asarray(quadrants[..., ::-1].transpose(0, 3, 1, 2).reshape(-1, 12))


def _expected(fitted: Values, labels: NDArray[np.int64], features: Values) -> dict[str, Values]:
    head = np.repeat(np.eye(3), 4, axis=1) * GAIN / 4
    means = np.stack([fitted[labels == each].mean(axis=0) for each in range(3)])
    within = np.cov((fitted - means[labels]).T, bias=True)
    total = np.cov(fitted.T, bias=True)

    def squared(offsets: Values, covariance: Values) -> Values:
        solved = np.linalg.solve(covariance, offsets.T).T
        return np.asarray((offsets * solved).sum(axis=1))

    nearest = np.min([squared(features - mean, within) for mean in means], axis=0)
    unit, bank = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (features, fitted))
    distances = np.sort(np.linalg.norm(unit[:, None] - bank[None], axis=2), axis=1)
    # ViM: the bias is 0, so is the origin. Half of the 12 directions are principal.
    _, directions = np.linalg.eigh(fitted.T @ fitted)
    rest = directions[:, :6]
    scale = (fitted @ head.T).max(axis=1).mean() / np.linalg.norm(fitted @ rest, axis=1).mean()
    energy = -np.log(np.exp(features @ head.T).sum(axis=1))
    return {
        "mahalanobis": nearest,
        "relative_mahalanobis": nearest - squared(features - fitted.mean(axis=0), total),
        "knn": distances[:, 4],
        "vim": scale * np.linalg.norm(features @ rest, axis=1) + energy,
    }


def test_wrap_features_adds_scores_that_equal_numpy(folder: Path) -> None:
    options = ("--fit", folder / "training", "--outliers", folder / "greys", "--score", "knn")
    done = _wrap(folder, folder / "bundle", *options)
    assert done.exit_code == 0, done.output
    bundle = open_bundle(folder / "bundle")
    assert bundle.manifest.scores[-4:] == SCORES
    assert bundle.manifest.default_score == "knn"
    assert "Mean AUROC by score:" in done.output
    training, held_out = (_images(folder / name, folder) for name in ("training", "held-out"))
    images = held_out.images.numpy()
    _, found = onnx_run(bundle.model)(images)
    fitted = _features(training.images.numpy())
    expected = _expected(fitted, training.labels.numpy(), _features(images))
    for name, values in expected.items():
        column = found[:, bundle.manifest.scores.index(name)]
        np.testing.assert_allclose(column, values, rtol=1e-3, atol=1e-4, err_msg=name)


def test_wrap_features_of_an_image_that_fitted_them_are_rejected(
    folder: Path, tmp_path: Path
) -> None:
    rejected = _wrap(folder, tmp_path / "bundle", "--fit", folder / "held-out")
    assert rejected.exit_code == 1
    assert "contains 120 of the 120 images of --data, expected other images" in rejected.stderr
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("nowhere", "--features is 'nowhere', expected 'auto' or the name of a node or tensor"),
        ("auto", "found no linear layer before the output. Give the name"),
    ],
)
def test_find_features_names_tensors_where_it_finds_none(
    node: str, message: str, tmp_path: Path
) -> None:
    onnx.save(hand_made(), tmp_path / "net.onnx")
    original = read_original_classifier(tmp_path / "net.onnx", input_name=None, output_name=None)
    with pytest.raises(ClassifierError, match=f"{message}.*such as turned, means"):
        find_features(original, node)


def test_find_features_walks_back_through_softmax_and_quantization(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("Flatten", ["input"], ["flat"]),
        onnx.helper.make_node("Relu", ["flat"], ["hidden"]),
        onnx.helper.make_node("DynamicQuantizeLinear", ["hidden"], ["q", "scale", "zero"]),
        onnx.helper.make_node("MatMulInteger", ["q", "weight", "zero"], ["product"]),
        onnx.helper.make_node("Cast", ["product"], ["float"], to=1),
        onnx.helper.make_node("Mul", ["float", "scale"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    weight = onnx.numpy_helper.from_array(np.ones((192, 3), np.int8), "weight")
    ports = [
        onnx.helper.make_tensor_value_info("input", 1, ["n", 3, 8, 8]),
        onnx.helper.make_tensor_value_info("probabilities", 1, ["n", 3]),
    ]
    graph = onnx.helper.make_graph(nodes, "g", ports[:1], ports[1:], [weight])
    imports = [onnx.helper.make_opsetid("", 17)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=imports, ir_version=8), tmp_path / "net.onnx"
    )
    original = read_original_classifier(tmp_path / "net.onnx", input_name=None, output_name=None)
    assert find_features(original, "auto").tensor == "hidden"
