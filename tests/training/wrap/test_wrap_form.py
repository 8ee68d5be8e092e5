import pytest

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.form import InputForm, infer_form
from oodguard.training.wrap.input import Layout, Shape


@pytest.mark.parametrize(
    ("shape", "given", "layout", "channels"),
    [
        ((1, 3, 32, 32), None, "nchw", 3),
        ((None, 32, 32, 3), None, "nhwc", 3),
        ((None, None, 32, 32), "nchw", "nchw", 3),
        ((None, 3, 32, 32), "nchw", "nchw", 3),
        ((None, 1, 28, 28), None, "nchw", 1),
        ((None, 28, 28, 1), None, "nhwc", 1),
        ((None, 3, 32, 1), None, "nchw", 3),
    ],
)
def test_infer_form_finds_the_channels(
    shape: Shape, given: Layout | None, layout: Layout, channels: int
) -> None:
    found = infer_form(shape, layout=given, height=None, width=None)
    assert (found.layout, found.channels, found.rank) == (layout, channels, 4)


def test_infer_form_uses_fixed_dimensions_and_the_options() -> None:
    def size(shape: Shape, **options: int | None) -> tuple[int, int]:
        found = infer_form(shape, layout=None, **({"height": None, "width": None} | options))
        return found.height, found.width

    assert size((1, 3, 24, 32)) == (24, 32)
    assert size((1, 24, 32, 3), height=24) == (24, 32)
    assert size((1, 3, None, None), height=64, width=96) == (64, 96)


def test_infer_form_of_grey_and_flattened_images() -> None:
    grey = infer_form((None, 28, 28), layout=None, height=None, width=None)
    assert grey == InputForm(layout="nchw", channels=1, rank=3, height=28, width=28)
    flat = infer_form((None, 64), layout=None, height=None, width=None)
    assert flat == InputForm(layout="nchw", channels=1, rank=2, height=8, width=8)
    oblong = infer_form((None, 60), layout="nhwc", height=4, width=5)
    assert oblong == InputForm(layout="nhwc", channels=3, rank=2, height=4, width=5)


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        ((None, 3, 3, 3), None, r"may be nchw or nhwc. Choose one with --layout"),
        ((None, 1, 28, 1), None, r"may be nchw or nhwc. Choose one with --layout"),
        ((None, None, None, None), None, r"\(\?, \?, \?, \?\) may be nchw or nhwc"),
        ((1, 2, 28, 28), None, r"shape \(1, 2, 28, 28\), expected three channels or one"),
        ((1,), None, "expected images as two to four dimensions"),
        ((1, 3, 32, 32), "nhwc", "--layout is nhwc, but .* does not have three channels"),
        ((1, 192), None, "flattened images of nchw or nhwc. Choose one with --layout"),
        ((1, 65), None, "has 65 values, expected height x width or 3 x height x width"),
        ((1, None), None, "flattened images of any size. Choose one with --height and --width"),
        ((1, 3, None, 32), None, "accepts any size. Choose one with --height"),
        ((1, 3, 5000, 32), None, "a side of 5000, expected 1 to 4096"),
    ],
)
def test_infer_form_rejects_other_shapes(shape: Shape, given: Layout, message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        infer_form(shape, layout=given, height=None, width=None)


def test_infer_form_rejects_a_contradicting_size() -> None:
    with pytest.raises(ClassifierError, match="--height is 32, expected 24"):
        infer_form((1, 3, 24, 32), layout="nchw", height=32, width=None)
