"""Invalid options of `oodguard-train wrap`: an error, and no bundle."""

from pathlib import Path

import onnx
import pytest

from oodguard.command_line.exit_codes import ExitCode
from tests.training.wrap.classifiers import (
    hand_made,
)
from tests.training.wrap.wrap_command import wrap


def test_wrap_names_the_folder_if_its_name_is_invalid(pictures: Path, tmp_path: Path) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    rejected = wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "Upper Case")
    assert rejected.exit_code == 1
    assert "--name is not given, and the name of --out is 'Upper Case', expected" in rejected.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--images", 117),
            "half of 117 images calibrates, 58, expected at least 59 for alpha 0.05",
        ),
        (("--images", 117), "Give at least 118 images"),
        (("--name", "Upper Case"), "--name is 'Upper Case'"),
        (("--preset", "vgg"), "--preset is 'vgg', expected one of imagenet, caffe, tf, clip"),
        (("--resize", "pad"), "--resize is 'pad', expected crop, crop:256, stretch, letterbox"),
        (("--resize", "crop:4"), "--resize crop:4: resize is 4, expected at least 8"),
        (("--resize", "letterbox:300"), "fill is '300', expected at most 255"),
        (("--features", "auto"), "--features: expected --fit SOURCE too"),
        (("--score", "knn"), "--score is knn, expected one of"),
        (("--version", "1/2"), "--version is '1/2'"),
        (("--mean", "0.5,x"), "--mean is '0.5,x', expected one number or three"),
        (("--std", "0"), "expected finite numbers"),
        (("--score", "odin"), "--score is odin, expected one of"),
        (("--outputs", "probabilities"), "are logits, expected probabilities"),
        (("--outliers", "nowhere"), "nowhere: cannot read the data"),
        (("--outliers", "a/x", "--outliers", "a/x"), "a/x, a/x, expected no duplicates"),
        (("--alpha", "2"), "alpha is 2"),
        (("--layout", "nchw"), "does not have three channels"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_wrap_rejects_invalid_options_and_writes_nothing(
    pictures: Path, tmp_path: Path, options: tuple[object, ...], message: str
) -> None:
    onnx.save(hand_made(), tmp_path / "classifier.onnx")
    rejected = wrap(tmp_path / "classifier.onnx", pictures, tmp_path / "bundle", *options)
    assert rejected.exit_code in {ExitCode.INVALID, ExitCode.USAGE, ExitCode.REFUSED}
    assert message in rejected.stderr
    assert "Traceback" not in rejected.stderr
    assert not (tmp_path / "bundle").exists()
