"""Reasons for rejections: ranges of the calibration images, and the classes otherwise."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from oodguard.models.calibration_rows import CalibrationRows
from oodguard.models.qualities import measure, qualities
from oodguard.models.reasons import (
    FAMILY_RATE,
    IMAGES_REQUIRED,
    SIDES,
    Explainer,
    Reason,
    ReasonCode,
    missing_ranges,
    repeated,
)

CLASSES = ("cat", "dog", "ship")
SURE = (9.0, 0.0, 0.0)
N = 1000


def textures(n: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return sums of waves of random frequencies, brightness and contrast `(n, 16, 16, 3)`."""
    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(16), np.arange(16))
    frequencies = random.uniform(0.3, 1, (n, 2, 1, 1))
    waves = np.sin(frequencies[:, 0] * x) + np.sin(frequencies[:, 1] * y + 1)
    waves = waves * random.uniform(20, 30, (n, 1, 1)) + random.uniform(100, 140, (n, 1, 1))
    grey = waves + random.normal(0, 2, waves.shape)
    return np.repeat(grey[..., None], 3, axis=3).clip(0, 255).astype(np.uint8)


def rows(
    images: NDArray[np.uint8], sizes: Sequence[tuple[int, int]] | None = None
) -> CalibrationRows:
    scores = np.zeros(len(images), np.float32)
    return CalibrationRows(scores={"energy": scores}, qualities=measure(images, sizes))


EXPLAINER = Explainer(rows(textures(N), [(100 + 10 * (i % 9), 120) for i in range(N)]), CLASSES)


def explain(
    image: NDArray[np.uint8],
    size: tuple[int, int] | None = None,
    *,
    logits: Sequence[float] = SURE,
    explainer: Explainer = EXPLAINER,
    p_value: float = 0.01,
) -> tuple[Reason, ...]:
    values = np.array(logits, np.float32)
    first = int(values.argmax())
    with np.errstate(invalid="ignore"):
        confidence = float(1 / np.exp(values - values[first]).sum())
    return explainer.explain(
        qualities(image[None])[0].tolist(),
        size,
        values,
        class_id=first,
        confidence=confidence,
        p_value=p_value,
    )


def codes(reasons: Sequence[Reason]) -> list[ReasonCode]:
    return [reason.code for reason in reasons]


def damaged(kind: str) -> NDArray[np.uint8]:
    image = textures(1, seed=1)[0]
    levels = image.astype(np.float64)
    match kind:
        case "too_dark":
            levels *= 0.2
        case "too_bright":
            levels = 255 - (255 - levels) * 0.2
        case "low_contrast":
            levels = levels.mean() + (levels - levels.mean()) * 0.1
        case "high_contrast":
            levels = levels.mean() + (levels - levels.mean()) * 3
        case "blurred":
            ramp = np.linspace(80, 160, 16)
            levels = np.broadcast_to(((ramp + ramp[:, None]) / 2)[..., None], image.shape)
        case "noisy":
            levels += np.random.default_rng(2).normal(0, 40, (16, 16, 1))
        case "blank":
            levels[8:] = 120
    pixels: NDArray[np.uint8] = levels.clip(0, 255).astype(np.uint8)
    return pixels


@pytest.mark.parametrize("code", [*dict.fromkeys(side.code for side in SIDES)][:7])
def test_reasons_name_the_damage(code: ReasonCode) -> None:
    reasons = {reason.code: reason for reason in explain(damaged(code))}
    assert code in reasons
    reason = reasons[code]
    assert reason.range is not None
    low, high = reason.range
    assert (low is not None and reason.value < low) or (high is not None and reason.value > high)
    assert f"{reason.value:.3g}" in reason.detail
    assert reason.detail.startswith("The image ")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((140, 120), ["unlike_classes"]),
        (None, ["unlike_classes"]),
        ((120, 140), ["unlike_classes"]),
        ((60, 140), ["unusual_aspect"]),
        ((300, 120), ["unusual_aspect"]),
        ((16, 16), ["unusual_size"]),
        ((4000, 4000), ["unusual_size"]),
    ],
)
def test_reasons_name_unusual_sizes_of_files(
    size: tuple[int, int] | None, expected: list[str]
) -> None:
    assert codes(explain(textures(1, seed=3)[0], size)) == expected


def test_reasons_of_in_distribution_images_are_wrong_at_most_at_the_family_rate() -> None:
    """3000 new images: the standard deviation of the share is .004."""
    wrong = [codes(explain(image, (140, 120))) != ["unlike_classes"] for image in textures(3000, 7)]
    assert np.mean(wrong) <= FAMILY_RATE + 0.012


@pytest.mark.parametrize(
    ("logits", "code"),
    [
        ((3, 3 - math.log(2) + 1e-3, -9), "between_classes"),
        ((3, 3 - math.log(2) - 1e-3, -9), "unlike_classes"),  # less than half of the first
        ((0, 0, 0), "unlike_classes"),  # two of three have two thirds
        (SURE, "unlike_classes"),
        ((math.nan, 0, 0), "unlike_classes"),
        ((math.inf, 0, 0), "unlike_classes"),
        ((-math.inf, -math.inf, 0), "unlike_classes"),
    ],
)
def test_reasons_name_two_likely_classes(logits: Sequence[float], code: str) -> None:
    (reason,) = explain(textures(1)[0], logits=logits, p_value=0.004)
    assert reason.code == code
    assert reason.range is None
    if code == "unlike_classes":
        assert reason.value == 0.004
        assert reason.detail == "The image is unlike the training classes: its p-value is 0.004."


def test_reasons_between_classes_state_the_runner_up_and_the_margin() -> None:
    (reason,) = explain(textures(1)[0], logits=(math.log(0.4), math.log(0.5), math.log(0.1)))
    assert reason.value == pytest.approx(0.1)
    assert reason.detail == (
        "The image is between the classes dog and cat: their probabilities are 0.50 and 0.40."
    )


@pytest.mark.parametrize(
    "calibration",
    [
        CalibrationRows(scores={"energy": np.zeros(N, np.float32)}),
        CalibrationRows(
            scores={"energy": np.zeros(N, np.float32)},
            qualities={"a later one": np.zeros(N, np.float32)},
        ),
        rows(textures(IMAGES_REQUIRED - 1)),
    ],
    ids=["no qualities", "unknown qualities", "too few images"],
)
def test_reasons_without_ranges_are_the_classes_only(calibration: CalibrationRows) -> None:
    explainer = Explainer(calibration, CLASSES)
    assert explainer.codes == ("between_classes", "unlike_classes")
    assert codes(explain(damaged("blank"), (1, 9), explainer=explainer)) == ["unlike_classes"]


def test_reasons_have_ranges_with_the_smallest_number_of_images() -> None:
    explainer = Explainer(rows(textures(IMAGES_REQUIRED)), CLASSES)
    assert codes(explain(damaged("blank"), explainer=explainer)) == ["blank"]
    # Eleven sides at .05 / 11 each need 1 / (n + 1) <= .05 / 11.
    assert IMAGES_REQUIRED == 219


@pytest.mark.parametrize("shape", [(16, 16, 3), (1, 1, 3)])
def test_reasons_of_constant_calibration_images_have_a_margin(shape: tuple[int, ...]) -> None:
    explainer = Explainer(rows(np.full((N, *shape), 100, np.uint8)), CLASSES)
    assert codes(explain(np.full(shape, 101, np.uint8), explainer=explainer)) == ["unlike_classes"]
    assert codes(explain(np.full(shape, 102, np.uint8), explainer=explainer)) == ["too_bright"]


def test_reasons_are_all_explained_or_repeated() -> None:
    assert {*EXPLAINER.codes, "repeated"} == set(get_args(ReasonCode))


def test_reasons_for_a_repeated_image_state_how_often() -> None:
    assert "rejected once before" in repeated(1).detail
    assert "rejected 3 times before" in repeated(3).detail
    assert (repeated(3).code, repeated(3).value) == ("repeated", 3)


def test_ranges_count_groups_and_not_their_images() -> None:
    images = textures(2 * IMAGES_REQUIRED)
    few, enough = (np.arange(len(images)) % number for number in (200, IMAGES_REQUIRED))
    grouped = [replace(rows(images), groups=each.astype(np.int32)) for each in (few, enough)]
    assert [Explainer(each, CLASSES).measures for each in grouped] == [False, True]
    assert [missing_ranges(each) for each in grouped] == [
        "the bundle has 200 calibration groups, expected at least 219",
        None,
    ]
    # 219 groups reach the rate 1 / 220 only at the most extreme value of all images.
    dark = np.full((16, 16, 3), 30, np.uint8)
    found = {each.code: each for each in explain(dark, explainer=Explainer(grouped[1], CLASSES))}
    lowest = float(measure(images)["brightness"].min()) - 1
    assert (found["too_dark"].range or ())[:1] == pytest.approx((lowest,))
