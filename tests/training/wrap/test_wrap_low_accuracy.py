"""Trials of `oodguard-train wrap` if the accuracy is low: other class and channel orders."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from oodguard.models.bundle import open_bundle
from tests.training.wrap.classifiers import (
    CLASSES,
    SIZE,
    hand_made,
)
from tests.training.wrap.wrap_command import report_of, wrap


def test_wrap_tries_other_class_orders_if_the_accuracy_is_low(
    pictures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "classifier.onnx"
    onnx.save(hand_made(shape=("n", "h", "w", 3)), path)
    (tmp_path / "names.txt").write_text("\n".join((*CLASSES[1:], CLASSES[0])), encoding="utf-8")
    options = ("--classes", tmp_path / "names.txt", "--height", SIZE, "--width", SIZE)
    done = wrap(path, pictures, tmp_path / "bundle", *options)
    assert done.exit_code == 0, done.output
    report = report_of(open_bundle(tmp_path / "bundle"))
    assert report.accuracy == 0
    assert report.trials is not None
    assert report.trials.images == 100
    assert report.trials.order == CLASSES
    card = (tmp_path / "bundle" / "README.md").read_text(encoding="utf-8")
    for text in (" ".join(done.output.split()), " ".join(card.split())):
        assert text.count("the accuracy is 0 %, near chance (33.3 % for 3 classes)") == 1
        assert "The outputs then are, in order: blue, green, red." in text
        assert "it is 0 % as given and 100 % with classes sorted as text: wrap the" in text
        assert "--channel-order, " not in text


def test_wrap_tries_other_channel_orders_if_the_accuracy_is_low(
    pictures: Path, tmp_path: Path
) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    wrong = ("--channel-order", "bgr", "--classes", tmp_path / "names.txt")
    (tmp_path / "names.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    done = wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle", *wrong)
    assert done.exit_code == 0, done.output
    report = report_of(open_bundle(tmp_path / "bundle"))
    # Green images are right in either order.
    assert report.accuracy == pytest.approx(1 / 3, abs=0.1)
    assert report.trials is not None
    assert report.trials.best == ("--channel-order rgb", "as given", 1.0)
    output = " ".join(done.output.split())
    assert "The best is 100 % with --channel-order rgb." in output
    assert "and 100 % with --channel-order rgb: wrap the classifier again with --c" in output


def test_wrap_does_not_warn_of_two_classes_below_100_percent(
    pictures: Path, tmp_path: Path
) -> None:
    model = hand_made(output=("n", 1))
    model.graph.node[2].input[1] = "blue_only"
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(np.array([2], np.int64), "blue_only")
    )
    onnx.save(model, tmp_path / "classifier.onnx")
    for colour in CLASSES[:2]:
        shutil.copytree(pictures / "colours" / colour, tmp_path / "data" / "colours" / colour)
    moved = sorted((tmp_path / "data" / "colours" / "blue").iterdir())[:6]
    for path in moved:
        path.rename(tmp_path / "data" / "colours" / "green" / f"of-blue-{path.name}")
    (tmp_path / "names.txt").write_text("green\nblue\n", encoding="utf-8")
    options = ("--classes", tmp_path / "names.txt", "--mean", 0.45, "--alpha", 0.1)
    done = wrap(tmp_path / "classifier.onnx", tmp_path / "data", tmp_path / "bundle", *options)
    assert done.exit_code == 0, done.output
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.manifest.classes == ("green", "blue")
    assert 0.7 < report_of(bundle).accuracy < 1
    assert "warning" not in done.output
    assert "the single output z is used as the two logits" in report_of(bundle).outputs
