"""An INT8 bundle of a shipped bundle, compared with ONNX Runtime directly."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from oodguard.models.bundle import Bundle, open_bundle
from oodguard.models.decision import Policy
from oodguard.models.errors import BundleError, RecipeError
from oodguard.models.manifest import Description
from oodguard.training.cli.app import app
from oodguard.training.cli.quantize import print_quantized
from oodguard.training.data.dataset import ImageSet
from oodguard.training.onnx_torch import operators
from oodguard.training.onnx_torch.classifier import bundle_classifier
from oodguard.training.quantize import finetune
from oodguard.training.quantize.card import write_quantized_card
from oodguard.training.quantize.graph import prepare, quantize_graph
from oodguard.training.quantize.images import (
    QuantizationImages,
)
from oodguard.training.quantize.quantize import quantize
from oodguard.training.run_progress import WeightsOrigin
from oodguard.training.scoring.graph import torch_run
from oodguard.training.scoring.parity import onnx_run
from tests.training.wrap.classifiers import SIZE, ConvolvedColourNet, draw_folder, exported

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "models" / "pretrained" / "cifar10-aloe"
CIFAR10 = ROOT / "tests" / "data" / "cifar10"
POLICY = Policy(score="abstain", alpha=0.1, delta=0.1)


def _pictures() -> NDArray[np.uint8]:
    """Return 200 images, the classes in turn."""
    folders = [sorted(folder.iterdir()) for folder in sorted(CIFAR10.iterdir())]
    paths = [path for row in zip(*folders, strict=True) for path in row]
    return np.stack([np.asarray(Image.open(path)) for path in paths])


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return _pictures()


def _images(pictures: NDArray[np.uint8]) -> QuantizationImages:
    calibration = torch.from_numpy(pictures[40:120])
    return QuantizationImages(
        tuning=pictures[:40],
        calibration=ImageSet(
            name="tests",
            images=calibration,
            labels=torch.zeros(len(calibration), dtype=torch.int64),
            classes=("a",),
        ),
        compared=pictures[120:],
    )


def _quantize(
    bundle: Bundle,
    images: QuantizationImages,
    out: Path,
    *,
    tuned: bool = False,
    warn: Callable[[str], None] = lambda _: None,
) -> Description:
    return quantize(
        bundle,
        images,
        name="small-int8",
        version="2",
        policy=POLICY,
        out=out,
        tuned=tuned,
        stage=lambda _: None,
        warn=warn,
    )


@pytest.fixture(scope="module")
def folder(pictures: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("quantized") / "small-int8"
    _quantize(open_bundle(SOURCE), _images(pictures), out)
    return out


@pytest.fixture(scope="module")
def quantized(folder: Path) -> Bundle:
    return open_bundle(folder)


def _scores(bundle: Bundle, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(bundle.model, providers=["CPUExecutionProvider"])
    scores: NDArray[np.float32] = session.run(["scores"], {"images": images})[0]
    return scores


def test_quantize_calibrates_on_the_scores_of_the_int8_graph(
    quantized: Bundle, pictures: NDArray[np.uint8]
) -> None:
    scores = _scores(quantized, pictures[40:120])
    column = quantized.manifest.scores.index("abstain")
    np.testing.assert_allclose(
        quantized.calibration["abstain"], np.sort(scores[:, column]), rtol=1e-5
    )
    assert not np.allclose(
        quantized.calibration["abstain"],
        np.sort(_scores(open_bundle(SOURCE), pictures[40:120])[:, column]),
        rtol=1e-5,
    )


def test_quantize_records_source_and_differences(
    quantized: Bundle, pictures: NDArray[np.uint8]
) -> None:
    source = open_bundle(SOURCE)
    manifest, record = quantized.manifest, quantized.manifest.quantization
    assert record is not None
    assert (manifest.name, manifest.version, manifest.precision) == ("small-int8", "2", "int8")
    assert (source.manifest.precision, record.source) == ("float32", source.sha256)
    assert (record.range_images, record.compared_images) == (40, 80)
    column = manifest.scores.index("abstain")
    differences = _scores(quantized, pictures[120:]) - _scores(source, pictures[120:])
    largest = np.abs(differences[:, column]).max()
    assert record.largest_difference == pytest.approx(largest, rel=1e-3)
    assert set(record.speed) == {"1", "64"}
    assert quantized.evaluation["float32"] == source.evaluation
    assert quantized.evaluation["recipe"] == source.evaluation["recipe"]


def test_quantize_keeps_first_and_last_layer_in_float(quantized: Bundle) -> None:
    graph = onnx.load_model_from_string(quantized.model).graph
    source = onnx.load_model_from_string(open_bundle(SOURCE).model).graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    weights = [tensor for tensor in source.initializer if tensor.name.endswith(".weight")]
    float_names = [each.name for each in weights if kinds.get(each.name) == onnx.TensorProto.FLOAT]
    assert float_names == ["network.network.stem.1.weight", "network.head.weight"]
    int8 = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    assert sum(tensor.dims[0] > 0 and len(tensor.dims) == 4 for tensor in int8) == 14
    assert len(quantized.model) < 0.35 * len(open_bundle(SOURCE).model)


def test_quantize_card_states_precision_and_that_nothing_was_attacked(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    for text in ("INT8", "No attack was run on this graph", "hardened at 2/255"):
        assert text in card


def test_quantized_bundle_has_the_scores_of_onnx_runtime_in_torch(
    quantized: Bundle, pictures: NDArray[np.uint8]
) -> None:
    _, found = torch_run(bundle_classifier(quantized))(pictures[:20])
    expected = _scores(quantized, pictures[:20])
    original = _scores(open_bundle(SOURCE), pictures[:20])
    # Sums in another order round a few activations to the next level.
    assert np.abs(found - expected).mean() < 0.2 * np.abs(original - expected).mean()


def test_quantized_bundle_has_gradients(quantized: Bundle, pictures: NDArray[np.uint8]) -> None:
    pixels = (torch.from_numpy(pictures[:4]).permute(0, 3, 1, 2) / 255).requires_grad_()
    int8, float32 = (
        torch.autograd.grad(bundle_classifier(each).score("abstain", pixels).sum(), pixels)[0]
        for each in (quantized, open_bundle(SOURCE))
    )
    similarity = torch.cosine_similarity(int8.flatten(1), float32.flatten(1))
    assert (similarity > 0.9).all()


def test_quantize_refuses_other_calibration_images_than_those_of_the_bundle(
    tmp_path: Path, pictures: NDArray[np.uint8]
) -> None:
    images = replace(_images(pictures), calibrated=True)
    with pytest.raises(RecipeError, match=r"scores .* of the 80 calibration images .* differ from"):
        _quantize(open_bundle(SOURCE), images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_quantize_refuses_an_int8_bundle(
    tmp_path: Path, quantized: Bundle, pictures: NDArray[np.uint8]
) -> None:
    with pytest.raises(BundleError, match="small-int8 is an INT8 bundle, expected a float32"):
        _quantize(quantized, _images(pictures), tmp_path / "twice")


def test_quantize_refuses_an_unknown_score(tmp_path: Path, pictures: NDArray[np.uint8]) -> None:
    with pytest.raises(RecipeError, match="received 'nope', expected one of msp, max_logit"):
        quantize(
            open_bundle(SOURCE),
            _images(pictures),
            name="x",
            version="1",
            policy=Policy(score="nope"),
            out=tmp_path / "x",
            tuned=False,
            stage=lambda _: None,
            warn=lambda _: None,
        )


def test_quantize_names_what_cannot_be_finetuned(
    tmp_path: Path, pictures: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {name: run for name, run in operators.OPERATORS.items() if name != "ReduceLogSumExp"}
    monkeypatch.setattr("oodguard.training.onnx_torch.module.OPERATORS", known)
    with pytest.raises(BundleError, match=r"operator ReduceLogSumExp, .* Quantize without it"):
        _quantize(open_bundle(SOURCE), _images(pictures), tmp_path / "out", tuned=True)
    assert not (tmp_path / "out").exists()


def test_quantize_keeps_the_float32_bundle(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(SOURCE)
    words = ["quantize", str(SOURCE), "--data", str(CIFAR10), "--out", str(link)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "the folder of the float32 bundle, which would be lost" in result.stderr


def test_quantize_gives_the_warning_before_it_quantizes(
    tmp_path: Path, pictures: NDArray[np.uint8]
) -> None:
    images = _images(pictures)
    noise = np.random.default_rng(0).integers(0, 256, (80, 32, 32, 3), np.uint8)
    calibration = replace(images.calibration, images=torch.from_numpy(noise))

    def stop(warning: str) -> None:
        raise InterruptedError(warning)

    with pytest.raises(InterruptedError, match="most of them higher"):
        _quantize(
            open_bundle(SOURCE), replace(images, calibration=calibration), tmp_path / "x", warn=stop
        )


def test_quantize_repeats_a_warning_in_the_card(quantized: Bundle) -> None:
    manifest = open_bundle(SOURCE).manifest
    card = write_quantized_card(quantized.manifest, manifest, POLICY, 80, "the images differ", ())
    assert "\n\n**Warning:** the images differ.\n\n" in card
    origin = WeightsOrigin(name="a/model.onnx", sha256="0" * 64, same_split=False)
    plain = write_quantized_card(quantized.manifest, manifest, POLICY, 80, None, (None, origin))
    assert "Warning" not in plain
    assert "`a/model.onnx`, from which this network learned, had another split" in plain


@pytest.mark.parametrize("calibrated", [True, False])
def test_quantize_keeps_the_teacher_and_its_caveat_for_the_same_images_alone(
    tmp_path: Path,
    pictures: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    *,
    calibrated: bool,
) -> None:
    monkeypatch.setattr("oodguard.training.quantize.quantize.check_calibration", lambda *_: None)
    bundle, images = open_bundle(SOURCE), _images(pictures)
    teacher = {"name": "a/model.onnx", "sha256": "0" * 64, "same_split": False}
    taught = replace(bundle, evaluation={**bundle.evaluation, "teacher": teacher})
    _quantize(taught, replace(images, calibrated=calibrated), tmp_path / "int8")
    written = open_bundle(tmp_path / "int8")
    assert written.evaluation["teacher"] == teacher
    assert ("had another split of the images" in written.card) == calibrated


def test_quantized_graph_runs_any_batch_size(
    quantized: Bundle, pictures: NDArray[np.uint8]
) -> None:
    run = onnx_run(quantized.model)
    alone = np.concatenate([run(pictures[k : k + 1])[1] for k in range(3)])
    np.testing.assert_allclose(run(pictures[:3])[1], alone, atol=1e-4)


def test_quantize_accepts_and_finetunes_a_wrapped_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "STEPS", 2)
    exported(tmp_path / "net.onnx", batch=None, network=ConvolvedColourNet)
    draw_folder(tmp_path / "colours", each=1000)
    data = ["--data", str(tmp_path / "colours")]
    wrapped = tmp_path / "wrapped"
    words = ["wrap", str(tmp_path / "net.onnx"), *data, "--out", str(wrapped)]
    assert CliRunner().invoke(app, words).exit_code == 0
    model = onnx.load(wrapped / "model.onnx")
    domains = [each.domain for each in model.opset_import]
    assert len(domains) == len(set(domains))
    words = ["quantize", str(wrapped), *data, "--out", str(tmp_path / "int8"), "--finetune"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    record = open_bundle(tmp_path / "int8").manifest.quantization
    assert record is not None
    assert (record.range_images, record.tuning_images, record.compared_images) == (500, 500, 1000)
    assert record.command is not None
    card = (tmp_path / "int8" / "README.md").read_text(encoding="utf-8")
    assert "fine-tuned on 500 images" in card
    assert f"`{record.command}`" in card
    repeated = onnx.load(wrapped / "model.onnx")  # as earlier commits wrapped it
    repeated.opset_import.extend([model.opset_import[0]] * 2)
    images = np.zeros((4, SIZE, SIZE, 3), np.uint8)
    assert quantize_graph(prepare(repeated.SerializeToString(), images), images).graph.node


@pytest.mark.parametrize(("ratio", "warned"), [(0.8, True), (2.5, False)])
def test_quantize_warns_where_int8_is_not_faster(
    quantized: Bundle, capsys: pytest.CaptureFixture[str], ratio: float, *, warned: bool
) -> None:
    record = quantized.manifest.quantization
    assert record is not None
    slow = record.model_copy(update={"speed": {"1": 0.5, "64": ratio}})
    description = quantized.manifest.model_copy(update={"quantization": slow})
    print_quantized(Path("x"), description, has_recipe=warned)
    text, warnings = capsys.readouterr()
    assert ("INT8 is not faster than float32" in warnings) == warned
    assert ("oodguard-train evaluate x --recipe FILE" in text) == (not warned)
