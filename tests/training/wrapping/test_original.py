import hashlib
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap import classifier as original
from oodguard.training.wrap.classifier import OriginalClassifier, read_original_classifier
from tests.training.wrapping.classifiers import hand_made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "classifier.onnx"


def _read(path: Path, **names: str) -> OriginalClassifier:
    chosen = {"input_name": names.get("input_name"), "output_name": names.get("output_name")}
    return read_original_classifier(path, **chosen)


def test_a_classifier_is_read_with_its_ports_its_shape_and_its_hash(path: Path) -> None:
    onnx.save(hand_made(shape=(4, 8, 8, 3)), path)
    found = _read(path)
    assert (found.takes, found.gives, found.shape) == ("input", "logits", (4, 8, 8, 3))
    assert found.parameters == 1
    record = found.files["classifier.onnx"]
    assert record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record.bytes == path.stat().st_size


def test_weights_that_are_inputs_as_well_are_no_images(path: Path) -> None:
    onnx.save(hand_made(opset=8, ir_version=3, weights_are_inputs=True), path)
    assert _read(path).takes == "input"


def test_weights_in_a_file_of_their_own_are_read_and_recorded(path: Path) -> None:
    onnx.save(hand_made(), path, save_as_external_data=True, location="w.data", size_threshold=0)
    found = _read(path)
    assert set(found.files) == {"classifier.onnx", "w.data"}
    weights = (path.parent / "w.data").read_bytes()
    assert found.files["w.data"].sha256 == hashlib.sha256(weights).hexdigest()
    path.unlink()
    (path.parent / "w.data").unlink()
    values = [onnx.numpy_helper.to_array(tensor) for tensor in found.model.graph.initializer]
    assert [value.tolist() for value in values] == [[2, 1, 0], [8.0]]


def test_weights_that_are_missing_are_named(path: Path) -> None:
    onnx.save(hand_made(), path, save_as_external_data=True, location="w.data", size_threshold=0)
    (path.parent / "w.data").unlink()
    with pytest.raises(ClassifierError, match=r"w\.data: cannot be read: No such file"):
        _read(path)


def test_a_file_outside_the_classifiers_folder_is_not_read(path: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    onnx.save(hand_made(), path, save_as_external_data=True, location="w.data", size_threshold=0)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../w.data"
    (inner / "classifier.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ClassifierError, match="is no valid ONNX model"):
        _read(inner / "classifier.onnx")


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08"], ids=repr)
def test_a_corrupt_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ClassifierError, match=r"classifier\.onnx is no valid ONNX model"):
        _read(path)


def test_a_file_that_is_cut_off_is_refused(path: Path) -> None:
    content = hand_made().SerializeToString()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ClassifierError, match="is no valid ONNX model"):
        _read(path)


def test_a_file_that_is_not_there_is_named(path: Path) -> None:
    with pytest.raises(ClassifierError, match=r"classifier\.onnx: cannot be read: No such file"):
        _read(path)


def test_a_file_that_no_bundle_can_hold_is_refused_before_it_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(hand_made(), path)
    monkeypatch.setattr(original, "MAX_BYTES", {"model.onnx": 100 + 2**20})
    monkeypatch.setattr(onnx, "load", None)
    with pytest.raises(ClassifierError, match="bytes; at most 100 fit into a bundle"):
        _read(path)


def test_an_opset_that_is_too_old_is_refused(path: Path) -> None:
    onnx.save(hand_made(opset=6, ir_version=3, weights_are_inputs=True), path)
    with pytest.raises(ClassifierError, match=r"has opset 6, older than 7.*export it anew"):
        _read(path)


def test_another_number_type_than_float32_is_refused(path: Path) -> None:
    onnx.save(hand_made(kind=TensorProto.FLOAT16), path)
    with pytest.raises(ClassifierError, match="input input is float16; float32 or uint8 is wanted"):
        _read(path)


def _with_more(*, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> onnx.ModelProto:
    model = hand_made()
    for name in inputs:
        port = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 8, 8, 3])
        model.graph.input.append(port)
    for name in outputs:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]))
    return model


def test_one_of_several_outputs_is_chosen_by_name(path: Path) -> None:
    onnx.save(_with_more(outputs=("means",)), path)
    with pytest.raises(ClassifierError, match=r"--output-name: several came.*'logits', 'means'"):
        _read(path)
    with pytest.raises(ClassifierError, match=r"--output-name: 'probs' came.*'logits', 'means'"):
        _read(path, output_name="probs")
    assert _read(path, output_name="means").gives == "means"


def test_a_classifier_of_more_than_images_is_refused(path: Path) -> None:
    onnx.save(_with_more(inputs=("mask",)), path)
    with pytest.raises(ClassifierError, match="--input-name: several came"):
        _read(path)
    with pytest.raises(ClassifierError, match="wants more than images: mask; one input is wanted"):
        _read(path, input_name="input")
