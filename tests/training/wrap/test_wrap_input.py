from typing import Any

import numpy as np
import onnxruntime
import pytest

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.input import PRESETS, Normalization, PixelTransform

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
COLOURS = Normalization(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
BGR = Normalization(scale=1, mean=(1, 2, 3), std=(4, 5, 6), channel_order="bgr")
UNCHANGED = Normalization(scale=1)


def test_pixel_transform_scales_subtracts_and_divides() -> None:
    transform = PixelTransform(
        layout="nchw",
        height=1,
        width=1,
        normalization=Normalization(scale=255, mean=(0.5, 0.1, 0.2), std=(0.5, 0.1, 0.4)),
    )
    found = transform(np.array([[[[0, 51, 255]]]], np.uint8))
    # Red: 0 less .5, over .5. Green: .2 less .1, over .1. Blue: 1 less .2, over .4.
    np.testing.assert_allclose(found, np.array([-1, 1, 2]).reshape(1, 3, 1, 1), rtol=1e-6)


def test_pixel_transform_in_bgr_keeps_mean_and_std_in_the_order_of_the_options() -> None:
    transform = PixelTransform(layout="nhwc", height=1, width=1, normalization=BGR)
    found = transform(np.array([[[[9, 12, 21]]]], np.uint8))
    # Blue: 21 less 3, over 6. Green: 12 less 2, over 5. Red: 9 less 1, over 4.
    assert found.tolist() == [[[[3, 2, 2]]]]


def test_pixel_transform_of_one_channel_is_the_weighted_mean_of_the_colours() -> None:
    transform = PixelTransform(
        layout="nhwc", height=1, width=2, channels=1, normalization=UNCHANGED
    )
    found = transform(np.array([[[[100, 0, 0], [7, 7, 7]]]], np.uint8))
    np.testing.assert_allclose(found.ravel(), [29.9, 7], rtol=1e-6)
    integers = PixelTransform(
        layout="nhwc", height=1, width=2, channels=1, normalization=UNCHANGED, pixel_type="uint8"
    )
    # Pillow rounds the same weighted mean.
    assert integers(np.array([[[[100, 0, 0], [7, 7, 7]]]], np.uint8)).ravel().tolist() == [30, 7]


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        # torchvision: (x / 255 - mean) / std.
        ("imagenet", [(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0 - 0.406) / 0.225]),
        # keras.applications.imagenet_utils.preprocess_input: BGR less the mean of ImageNet.
        ("caffe", [0 - 103.939, 51 - 116.779, 255 - 123.68]),
        # The same, mode "tf": from -1 to 1.
        ("tf", [1, 51 / 127.5 - 1, -1]),
        # OpenAI's CLIP.
        (
            "clip",
            [
                (1 - 0.48145466) / 0.26862954,
                (0.2 - 0.4578275) / 0.26130258,
                (0 - 0.40821073) / 0.27577711,
            ],
        ),
    ],
)
def test_pixel_transform_presets(preset: str, expected: list[float]) -> None:
    transform = PixelTransform(layout="nchw", height=1, width=1, normalization=PRESETS[preset])
    found = transform(np.array([[[[255, 51, 0]]]], np.uint8))
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "nchw"},
        {"layout": "nhwc", "normalization": Normalization(scale=1, mean=(104, 117, 123))},
        {"layout": "nchw", "normalization": COLOURS},
        {"layout": "nhwc", "normalization": COLOURS},
        {"layout": "nchw", "normalization": BGR},
        {"layout": "nhwc", "normalization": BGR, "pixel_type": "float16"},
        {"layout": "nchw", "normalization": UNCHANGED, "pixel_type": "uint8"},
        {"layout": "nchw", "normalization": UNCHANGED, "pixel_type": "int64"},
        {"layout": "nhwc", "pixel_type": "float64"},
        {"layout": "nchw", "channels": 1},
        {"layout": "nhwc", "channels": 1, "normalization": UNCHANGED, "pixel_type": "uint8"},
        {"layout": "nchw", "channels": 1, "rank": 3},
        {"layout": "nchw", "channels": 1, "rank": 2},
        {"layout": "nhwc", "rank": 2, "normalization": BGR},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_pixel_transform_equals_its_graph(options: dict[str, Any]) -> None:
    transform = PixelTransform(height=4, width=5, **options)
    graph = transform.graph()
    graph.ir_version = 10
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(None, {"images": IMAGES})
    expected = transform(IMAGES)
    assert found.dtype == expected.dtype
    # The order of the three terms of a grey value may differ.
    tolerance = 1e-6 if options.get("channels") == 1 else 0
    np.testing.assert_allclose(found, expected, rtol=tolerance)


def test_pixel_transform_layout_only_moves_the_channels() -> None:
    rows = PixelTransform(layout="nhwc", height=4, width=5)(IMAGES)
    planes = PixelTransform(layout="nchw", height=4, width=5)(IMAGES)
    assert planes.shape == (3, 3, 4, 5)
    np.testing.assert_array_equal(planes[:, 1], rows[..., 1])
    flat = PixelTransform(layout="nhwc", height=4, width=5, rank=2)(IMAGES)
    np.testing.assert_array_equal(flat, rows.reshape(3, 60))


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ({"scale": 0.0}, {}, "--scale is 0, .* expected finite numbers"),
        ({"scale": -255.0}, {}, "--scale is -255, .* expected finite numbers"),
        ({"std": (0.2, 0.0, 0.2)}, {}, "expected finite numbers"),
        ({"std": (float("inf"), 1.0, 1.0)}, {}, "expected finite numbers"),
        ({"mean": (float("nan"), 0.0, 0.0)}, {}, "expected finite numbers"),
        ({}, {"pixel_type": "uint8"}, "takes uint8 and scales the pixels itself"),
        ({"scale": 1, "mean": (1, 1, 1)}, {"pixel_type": "int32"}, "takes int32 and scales"),
        ({"mean": (1, 2, 3)}, {"channels": 1}, "expected one number each for a classifier with"),
    ],
)
def test_pixel_transform_rejects_invalid_options(
    rule: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClassifierError, match=message):
        PixelTransform(
            layout="nchw", height=4, width=4, normalization=Normalization(**rule), **options
        )
