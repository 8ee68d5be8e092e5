import pytest

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.classifier import Shape
from oodguard.training.wrap.input import Layout, infer_layout, infer_size


@pytest.mark.parametrize(
    ("shape", "said", "layout"),
    [
        ((1, 3, 32, 32), None, "nchw"),
        ((None, 32, 32, 3), None, "nhwc"),
        ((None, 3, None, None), None, "nchw"),
        ((None, None, None, None), "nhwc", "nhwc"),
        ((None, 3, 3, 3), "nchw", "nchw"),
    ],
)
def test_the_three_channels_tell_the_layout(shape: Shape, said: Layout, layout: Layout) -> None:
    assert infer_layout(shape, said) == layout


@pytest.mark.parametrize(
    ("shape", "said", "wanted"),
    [
        ((None, 3, 3, 3), None, "may be nchw or nhwc: say which with --layout"),
        ((None, None, None, None), None, r"\(\?, \?, \?, \?\) may be nchw or nhwc"),
        ((1, 1, 28, 28), None, r"\(1, 1, 28, 28\); three channels are wanted"),
        ((1, 784), None, "four dimensions are wanted"),
        ((1, 3, 32, 32), "nhwc", "--layout nhwc came; .* has not three channels"),
    ],
)
def test_an_input_that_is_no_rgb_image_is_refused(shape: Shape, said: Layout, wanted: str) -> None:
    with pytest.raises(ClassifierError, match=wanted):
        infer_layout(shape, said)


def test_a_size_is_read_or_said() -> None:
    assert infer_size((1, 3, 24, 32), "nchw", height=None, width=None) == (24, 32)
    assert infer_size((1, 24, 32, 3), "nhwc", height=24, width=None) == (24, 32)
    assert infer_size((1, 3, None, None), "nchw", height=64, width=96) == (64, 96)


@pytest.mark.parametrize(
    ("shape", "height", "wanted"),
    [
        ((1, 3, None, 32), None, "takes any size: say which with --height"),
        ((1, 3, 24, 32), 32, "--height 32 came; the input's is 24"),
        ((1, 3, 5000, 32), None, "a side of 5000; 1 to 4096 is wanted"),
    ],
)
def test_a_size_that_is_free_or_contradicted_is_refused(
    shape: Shape, height: int | None, wanted: str
) -> None:
    with pytest.raises(ClassifierError, match=wanted):
        infer_size(shape, "nchw", height=height, width=None)
