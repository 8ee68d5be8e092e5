import numpy as np
import onnxruntime
import pytest

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.classifier import Shape
from oodguard.training.wrap.input import Layout, PixelTransform, infer_layout, infer_size

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)


def test_pixel_transform_scales_subtracts_and_divides() -> None:
    transform = PixelTransform(
        layout="nchw", height=1, width=1, scale=255, mean=(0.5, 0.1, 0.2), std=(0.5, 0.1, 0.4)
    )
    found = transform(np.array([[[[0, 51, 255]]]], np.uint8))
    # Red: 0 less .5, over .5. Green: .2 less .1, over .1. Blue: 1 less .2, over .4.
    np.testing.assert_allclose(found, np.array([-1, 1, 2]).reshape(1, 3, 1, 1), rtol=1e-6)


@pytest.mark.parametrize(
    "transform",
    [
        PixelTransform(layout="nchw", height=4, width=5),
        PixelTransform(layout="nhwc", height=4, width=5, scale=1, mean=(104, 117, 123)),
        PixelTransform(layout="nchw", height=4, width=5, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
        PixelTransform(layout="nhwc", height=4, width=5, std=(0.2, 0.3, 0.4)),
        PixelTransform(layout="nchw", height=4, width=5, scale=1, as_uint8=True),
    ],
    ids=str,
)
def test_pixel_transform_equals_its_graph(transform: PixelTransform) -> None:
    graph = transform.graph()
    graph.ir_version = 10
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(None, {"images": IMAGES})
    expected = transform(IMAGES)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_pixel_transform_layout_only_moves_the_channels() -> None:
    rows = PixelTransform(layout="nhwc", height=4, width=5)(IMAGES)
    planes = PixelTransform(layout="nchw", height=4, width=5)(IMAGES)
    assert planes.shape == (3, 3, 4, 5)
    np.testing.assert_array_equal(planes[:, 1], rows[..., 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "--scale is 0 .* expected numbers above 0"),
        ({"scale": -255.0}, "--scale is -255 .* expected numbers above 0"),
        ({"std": (0.2, 0.0, 0.2)}, "expected numbers above 0"),
        ({"as_uint8": True}, "takes uint8 and scales the pixels itself"),
        ({"as_uint8": True, "scale": 1.0, "mean": (1.0, 1.0, 1.0)}, "takes uint8 and scales"),
    ],
)
def test_pixel_transform_rejects_invalid_options(options: dict[str, float], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        PixelTransform(layout="nchw", height=4, width=4, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "given", "layout"),
    [
        ((1, 3, 32, 32), None, "nchw"),
        ((None, 32, 32, 3), None, "nhwc"),
        ((None, 3, None, None), None, "nchw"),
        ((None, None, None, None), "nhwc", "nhwc"),
        ((None, 3, 3, 3), "nchw", "nchw"),
    ],
)
def test_infer_layout_finds_the_three_channels(shape: Shape, given: Layout, layout: Layout) -> None:
    assert infer_layout(shape, given) == layout


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((None, 3, 3, 3), None, r"may be nchw or nhwc. Choose one with --layout"),
        ((None, None, None, None), None, r"\(\?, \?, \?, \?\) may be nchw or nhwc"),
        ((1, 1, 28, 28), None, r"shape \(1, 1, 28, 28\), expected three channels"),
        ((1, 784), None, "expected four dimensions"),
        ((1, 3, 32, 32), "nhwc", "--layout is nhwc, but .* does not have three channels"),
    ],
)
def test_infer_layout_rejects_other_shapes(shape: Shape, given: Layout, message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        infer_layout(shape, given)


def test_infer_size_uses_fixed_dimensions_and_the_options() -> None:
    assert infer_size((1, 3, 24, 32), "nchw", height=None, width=None) == (24, 32)
    assert infer_size((1, 24, 32, 3), "nhwc", height=24, width=None) == (24, 32)
    assert infer_size((1, 3, None, None), "nchw", height=64, width=96) == (64, 96)


@pytest.mark.parametrize(
    ("shape", "height", "message"),
    [
        ((1, 3, None, 32), None, "accepts any size. Choose one with --height"),
        ((1, 3, 24, 32), 32, "--height is 32, expected 24"),
        ((1, 3, 5000, 32), None, "a side of 5000, expected 1 to 4096"),
    ],
)
def test_infer_size_rejects_missing_and_contradicting_sizes(
    shape: Shape, height: int | None, message: str
) -> None:
    with pytest.raises(ClassifierError, match=message):
        infer_size(shape, "nchw", height=height, width=None)
