import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import oodguard
from oodguard import (
    BundleError,
    DeviceError,
    Guard,
    GuardError,
    ImageError,
    Reason,
    UndecodableImage,
    UnsupportedImage,
)
from oodguard.models.bundle import open_bundle, write_bundle
from oodguard.models.calibrated_model import CalibratedModel
from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.decision import Policy
from oodguard.models.manifest import Description
from oodguard.models.preprocessing import prepare
from oodguard.training.scoring.parity import onnx_run

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "models" / "pretrained" / "cifar10-aloe"
PICTURES = sorted((ROOT / "tests" / "data" / "cifar10").rglob("*.png"))[:70]


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard.open(BUNDLE)


def probe(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_guard_decides_as_the_bundle_in_batches_of_any_size(guard: Guard) -> None:
    bundle = open_bundle(BUNDLE)
    policy = Policy(score=bundle.manifest.default_score)
    model = CalibratedModel(bundle, policy, onnx_run(bundle.model))
    images = np.stack([prepare(Image.open(path), bundle.manifest.input) for path in PICTURES])
    expected = list(model.predict(images))
    assert len(expected) == 70  # more than one batch
    verdicts = guard(PICTURES)
    assert [v.label for v in verdicts] == [v.label for v in expected]
    assert [v.decision for v in verdicts] == [v.decision for v in expected]
    for verdict, same in zip(verdicts, expected, strict=True):
        assert verdict.confidence == pytest.approx(same.confidence, abs=1e-4)
        assert verdict.scores == pytest.approx(same.scores, rel=1e-4, abs=1e-4)


def test_guard_states_reasons_for_rejections(guard: Guard) -> None:
    (black,) = guard(np.zeros((32, 32, 3), np.uint8))
    assert black.decision == "reject"
    assert [reason.code for reason in black.reasons] == ["blank", "too_dark", "low_contrast"]
    assert isinstance(black.reasons[0], Reason)
    assert not any(each.reasons for each in guard(PICTURES[:9]) if each.decision == "accept")


def test_guard_accepts_paths_pil_images_and_arrays_one_or_many(guard: Guard) -> None:
    path = PICTURES[0]
    image = Image.open(path).convert("RGB")
    pixels = np.asarray(image)
    (expected,) = guard(path)
    for one in (str(path), image, pixels, pixels[None], [path], (pixels,), iter([image])):
        assert guard(one) == [expected]
    mixed = guard([str(path), image, pixels])
    assert [verdict.label for verdict in mixed] == [expected.label] * 3
    assert guard([]) == guard(np.empty((0, 32, 32, 3), np.uint8)) == []


def test_guard_resizes_arrays_as_it_resizes_files(guard: Guard, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    (of_pixels,), (of_file,) = guard(pixels), guard(tmp_path / "large.png")
    assert replace(of_pixels, reasons=()) == replace(of_file, reasons=())
    # The file has a size, of which those of the calibration images differ.
    of_size = set(of_file.reasons) - set(of_pixels.reasons)
    assert {reason.code for reason in of_size} == {"unusual_aspect", "unusual_size"}


def test_guard_open_sets_the_policy() -> None:
    guard = Guard.open(str(BUNDLE), score="msp", alpha=0.1, delta=None)
    assert guard.policy == Policy(score="msp", alpha=0.1, delta=None)
    assert guard.manifest.name == "cifar10-aloe"
    other = Guard.open(BUNDLE, score="msp", alpha=0.2, delta=None)
    assert guard.threshold is not None
    assert other.threshold is not None
    assert guard.threshold > other.threshold
    assert guard.limitations == []


@pytest.mark.parametrize(
    ("promise", "message"),
    [
        ({"by_class": True}, "by_class is true, but the bundle has no predicted classes"),
        ({"under_attack": 2}, "under_attack is 2, but the bundle has no scores of attacked"),
        ({"beta": 0.1}, "beta is 0.1, but the bundle has no labels"),
    ],
)
def test_guard_open_refuses_a_promise_that_an_older_bundle_cannot_keep(
    promise: dict[str, Any], message: str, tmp_path: Path
) -> None:
    bundle = open_bundle(BUNDLE)
    facts = bundle.manifest.model_dump(exclude={"files", "calibration_attack"})
    write_bundle(
        tmp_path / "older",
        description=Description.model_validate({**facts, "schema_version": 1}),
        model=bundle.model,
        calibration=CalibrationRows(scores=bundle.rows.scores),
        evaluation=bundle.evaluation,
        card=bundle.card,
    )
    with pytest.raises(BundleError, match=message):
        Guard.open(tmp_path / "older", **promise)


def test_guard_errors_name_the_image(guard: Guard, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(GuardError, match=r"broken\.png: "):
        guard([PICTURES[0], broken])
    broken.write_bytes(PICTURES[0].read_bytes()[:-30])
    with pytest.raises(UndecodableImage, match=r"broken\.png: "):
        guard(broken)
    damaged = r"images\[0\]: the image is damaged, truncated or closed"
    with Image.open(broken) as image, pytest.raises(UndecodableImage, match=damaged):
        guard(image)
    with pytest.raises(ImageError, match=r"missing\.png: the file cannot be read: No such file"):
        guard(tmp_path / "missing.png")
    with pytest.raises(ImageError, match="the path is invalid: embedded null"):
        guard("a\0b.png")


def test_guard_rejects_pil_images_without_pixels_and_closed_ones(guard: Guard) -> None:
    with pytest.raises(UnsupportedImage, match=r"images\[0\]: the image is 0x4, expected at least"):
        guard(Image.new("RGB", (0, 4)))
    closed = Image.open(PICTURES[0])
    closed.close()
    with pytest.raises(
        UndecodableImage, match=r"images\[0\]: the image is damaged, truncated or clo"
    ):
        guard(closed)


def test_guard_rejects_objects_that_are_not_images(guard: Guard) -> None:
    with pytest.raises(TypeError, match=r"images is 3, expected a path, .*, or several of them"):
        guard(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"images is b'', expected a path"):
        guard(b"")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"images\[1\] is None, expected a path, a PIL image"):
        guard([PICTURES[0], None])  # type: ignore[list-item]


def test_guard_open_names_its_argument_for_an_unusable_device() -> None:
    with pytest.raises(DeviceError, match="device is 'gpu', expected one of: auto, cpu"):
        Guard.open(BUNDLE, device="gpu")  # type: ignore[arg-type]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(DeviceError, match=r"^device 'cuda' requires CUDAExecutionProvider"):
            Guard.open(BUNDLE, device="cuda")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": None}, "path is None, expected the path of a bundle folder"),
        ({"alpha": "x"}, "alpha is 'x', expected a number above 0 and below 1"),
        ({"under_attack": 2.0}, "under_attack is 2.0, expected a whole number or None"),
        ({"delta": "x"}, "delta is 'x', expected a number above 0 and below 1"),
    ],
)
def test_guard_open_names_an_argument_of_a_wrong_type(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        Guard.open(**{"path": BUNDLE, **arguments})


def test_guard_open_of_a_folder_of_bundles_names_one_of_them() -> None:
    with pytest.raises(BundleError) as raised:
        Guard.open(BUNDLE.parent)
    assert str(raised.value) == (
        f"{BUNDLE.parent} is a folder of bundles, expected the folder of one bundle,"
        f" for example {BUNDLE}"
    )


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((32, 32), np.uint8),
        np.zeros((32, 32, 4), np.uint8),
        np.zeros((0, 32, 3), np.uint8),
        np.zeros((32, 32, 3), np.float32),
    ],
)
def test_guard_rejects_arrays_of_another_shape_or_type(
    guard: Guard, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    with pytest.raises(UnsupportedImage, match=r"images\[0\]: .* expected uint8 \(H, W, 3\)"):
        guard(pixels)


def test_guard_imports_dependencies_late_and_neither_http_nor_torch() -> None:
    absent = {"fastapi", "prometheus_client", "starlette", "torch", "uvicorn"}
    imported = probe(
        "import sys, oodguard\n"
        "print('numpy' in sys.modules, 'Guard' in dir(oodguard))\n"
        f"oodguard.Guard.open({str(BUNDLE)!r})({str(PICTURES[0])!r})\n"
        f"print({absent} & set(sys.modules))"
    )
    assert imported == "False True\nset()\n"


def test_missing_runtime_is_reported_with_the_extra_to_install() -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "import oodguard\n"
        f"try: oodguard.Guard.open({str(BUNDLE)!r})\n"
        "except ImportError as error: print(error)"
    )
    assert "pip install -e '.[cpu]' in the clone of OOD Guard" in probe(code)


def test_public_names_are_complete() -> None:
    for name in oodguard.__all__:
        assert getattr(oodguard, name) is not None
    assert set(oodguard.__all__) <= set(dir(oodguard))
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        oodguard.missing  # noqa: B018
    properties = [each.fget for each in vars(Guard).values() if isinstance(each, property)]
    methods = [Guard.open, Guard.__call__, *properties]
    used = {
        part.__name__
        for method in methods
        for hint in get_type_hints(method).values()
        for part in (hint, *getattr(hint, "__args__", ()))
        if getattr(part, "__module__", "").startswith("oodguard.")
    }
    assert used == {"Manifest", "Policy", "Verdict"}
    assert used < set(oodguard.__all__)
