import numpy as np
import onnxruntime
import pytest

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.input import PixelTransform

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)


def test_pixels_are_scaled_then_centred_then_divided() -> None:
    pixels = PixelTransform(
        layout="nchw", height=1, width=1, scale=255, mean=(0.5, 0.1, 0.2), std=(0.5, 0.1, 0.4)
    )
    found = pixels.of(np.array([[[[0, 51, 255]]]], np.uint8))
    # Red: 0 less .5, over .5. Green: .2 less .1, over .1. Blue: 1 less .2, over .4.
    np.testing.assert_allclose(found, np.array([-1, 1, 2]).reshape(1, 3, 1, 1), rtol=1e-6)


@pytest.mark.parametrize(
    "pixels",
    [
        PixelTransform(layout="nchw", height=4, width=5),
        PixelTransform(layout="nhwc", height=4, width=5, scale=1, mean=(104, 117, 123)),
        PixelTransform(layout="nchw", height=4, width=5, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
        PixelTransform(layout="nhwc", height=4, width=5, std=(0.2, 0.3, 0.4)),
        PixelTransform(layout="nchw", height=4, width=5, scale=1, as_uint8=True),
    ],
    ids=str,
)
def test_the_graph_makes_the_very_same_pixels(pixels: PixelTransform) -> None:
    graph = pixels.graph()
    graph.ir_version = 10
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(None, {"images": IMAGES})
    expected = pixels.of(IMAGES)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_a_layout_moves_channels_and_nothing_else() -> None:
    rows = PixelTransform(layout="nhwc", height=4, width=5).of(IMAGES)
    planes = PixelTransform(layout="nchw", height=4, width=5).of(IMAGES)
    assert planes.shape == (3, 3, 4, 5)
    np.testing.assert_array_equal(planes[:, 1], rows[..., 1])


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"std": (0.2, 0.0, 0.2)}, {"scale": -255.0}])
def test_a_divisor_that_is_not_above_zero_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ClassifierError, match="numbers above 0 are wanted"):
        PixelTransform(layout="nchw", height=4, width=4, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [{"scale": 255.0}, {"scale": 1.0, "mean": (1.0, 1.0, 1.0)}])
def test_a_classifier_of_uint8_is_given_nothing_else(wrong: dict[str, float]) -> None:
    with pytest.raises(ClassifierError, match="takes uint8, so it scales the pixels itself"):
        PixelTransform(layout="nchw", height=4, width=4, as_uint8=True, **wrong)  # type: ignore[arg-type]
