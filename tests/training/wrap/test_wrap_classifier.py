import hashlib
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap import classifier as original
from oodguard.training.wrap.classifier import OriginalClassifier, read_original_classifier
from tests.training.wrap.classifiers import hand_made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "classifier.onnx"


def read(
    path: Path, *, input_name: str | None = None, output_name: str | None = None
) -> OriginalClassifier:
    return read_original_classifier(path, input_name=input_name, output_name=output_name)


def test_original_classifier_has_names_shape_parameters_and_hash(path: Path) -> None:
    onnx.save(hand_made(shape=(4, 8, -1, 3)), path)
    found = read(path)
    assert (found.input_name, found.output_name) == ("input", "logits")
    assert found.shape == (4, 8, None, 3)  # -1 is dynamic
    assert found.parameters == 1
    record = found.files["classifier.onnx"]
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record.bytes == path.stat().st_size


def test_original_classifier_ignores_inputs_that_are_weights(path: Path) -> None:
    onnx.save(hand_made(opset=8, ir_version=3, weights_are_inputs=True), path)
    assert read(path).input_name == "input"


def test_original_classifier_reads_and_records_external_weights(path: Path) -> None:
    onnx.save(hand_made(), path, save_as_external_data=True, location="w.data", size_threshold=0)
    found = read(path)
    assert set(found.files) == {"classifier.onnx", "w.data"}
    weights = (path.parent / "w.data").read_bytes()
    assert found.files["w.data"].sha256 == hashlib.sha256(weights).hexdigest()
    path.unlink()
    (path.parent / "w.data").unlink()
    values = [onnx.numpy_helper.to_array(tensor) for tensor in found.model.graph.initializer]
    assert [value.tolist() for value in values] == [[2, 1, 0], [8.0]]
    with pytest.raises(ClassifierError, match=r"classifier\.onnx: cannot be read: No such file"):
        read(path)


def test_original_classifier_rejects_missing_external_weights(path: Path) -> None:
    onnx.save(hand_made(), path, save_as_external_data=True, location="w.data", size_threshold=0)
    (path.parent / "w.data").unlink()
    with pytest.raises(ClassifierError, match=r"w\.data: cannot be read: No such file"):
        read(path)


def test_original_classifier_rejects_weights_outside_its_folder(path: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    onnx.save(hand_made(), path, save_as_external_data=True, location="w.data", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../w.data"
    (inner / "classifier.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ClassifierError, match="invalid ONNX model"):
        read(inner / "classifier.onnx")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a model at all", b"\x08", hand_made().SerializeToString()[:100]],
    ids=["empty", "text", "one byte", "truncated"],
)
def test_original_classifier_rejects_corrupt_files(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ClassifierError, match=r"classifier\.onnx: invalid ONNX model"):
        read(path)


def test_original_classifier_rejects_files_above_the_bundle_limit_unread(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(hand_made(), path)
    monkeypatch.setattr(original, "MAX_BYTES", {"model.onnx": 100 + 2**20})
    monkeypatch.setattr(onnx, "load", None)
    with pytest.raises(ClassifierError, match="bytes, expected at most 100 in a bundle"):
        read(path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            hand_made(opset=6, ir_version=3, weights_are_inputs=True),
            "opset 6, expected at least 7.*Export the classifier again",
        ),
        (
            hand_made(shape=(2000, 8, 8, 3)),
            "has a batch of 2000 images, expected at most 1024.*dynamic batch dimension",
        ),
        (
            hand_made(kind=TensorProto.INT8),
            "input input has type int8, expected one of float32, float16, .* Export",
        ),
    ],
    ids=["opset", "batch", "type"],
)
def test_original_classifier_rejects_old_opsets_and_other_types(
    path: Path, model: onnx.ModelProto, message: str
) -> None:
    onnx.save(model, path)
    with pytest.raises(ClassifierError, match=message):
        read(path)


def test_original_classifier_chooses_an_output_by_name(path: Path) -> None:
    model = hand_made()
    model.graph.output.append(helper.make_tensor_value_info("means", TensorProto.FLOAT, ["n", 3]))
    onnx.save(model, path)
    outputs = r"expected one of the outputs \['logits', 'means'\]"
    with pytest.raises(ClassifierError, match=f"--output-name: not given, {outputs}"):
        read(path)
    with pytest.raises(ClassifierError, match=f"--output-name: received 'probs', {outputs}"):
        read(path, output_name="probs")
    assert read(path, output_name="means").output_name == "means"


def test_original_classifier_rejects_further_inputs(path: Path) -> None:
    model = hand_made()
    model.graph.input.append(
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 8, 8, 3])
    )
    model.graph.node.append(helper.make_node("Identity", ["mask"], ["masked"]))
    onnx.save(model, path)
    with pytest.raises(ClassifierError, match="the model has the inputs input, mask, expected one"):
        read(path)


def test_original_classifier_ignores_an_input_that_no_node_reads(path: Path) -> None:
    model = hand_made()
    model.graph.input.append(helper.make_tensor_value_info("size", TensorProto.INT64, [2]))
    onnx.save(model, path)
    assert read(path).input_name == "input"


def test_original_classifier_without_an_input_shape_has_dynamic_dimensions(path: Path) -> None:
    model = hand_made()
    model.graph.input[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    assert read(path).shape == (None, None, None, None)


@pytest.mark.parametrize(
    ("content", "remedy"),
    [
        (b"", "The file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\xff\xff", "Download or export the file again"),
    ],
    ids=["empty", "git-lfs", "html", "zip", "other"],
)
def test_original_classifier_names_what_a_foreign_file_is(
    path: Path, content: bytes, remedy: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(ClassifierError, match=f"invalid ONNX model: .*{remedy}"):
        read(path)


def test_original_classifier_states_that_a_file_of_torch_is_no_onnx_file(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(ClassifierError, match=r"net\.pth: .* A file of torch is no ONNX file"):
        read(tmp_path / "net.pth")
