"""Find the layout, the channels and the size of a classifier's input from its shape."""

from dataclasses import dataclass
from math import isqrt
from typing import Literal

from oodguard.models.errors import ClassifierError
from oodguard.training.wrap.input import Layout, Shape

CHANNEL_AXIS: dict[Layout, int] = {"nchw": 1, "nhwc": 3}
SIZE_AXES: dict[Layout, tuple[int, int]] = {"nchw": (2, 3), "nhwc": (1, 2)}

MAX_SIDE = 4096
"""The largest height or width that a bundle allows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputForm:
    """The form of an input; `rank` 3 is `(n, H, W)` of grey images, 2 a flattened layout."""

    layout: Layout
    channels: Literal[1, 3]
    rank: Literal[2, 3, 4]
    height: int
    width: int


def infer_form(
    shape: Shape, *, layout: Layout | None, height: int | None, width: int | None
) -> InputForm:
    """Return the form of an input of this shape.

    `layout` overrides an ambiguous shape; `height` and `width` set dynamic sizes, and those of a
    flattened image that is not square.

    Raises:
        ClassifierError: The shape is not that of RGB or grey images, is ambiguous, or contradicts
            the options.
    """
    if len(shape) == 2:
        return _flattened(shape, layout, height=height, width=width)
    if len(shape) == 3:
        rows, columns = _sizes(shape, (1, 2), height=height, width=width)
        return InputForm(layout="nchw", channels=1, rank=3, height=rows, width=columns)
    if len(shape) != 4:
        raise ClassifierError(
            f"the input has shape {_describe(shape)}, expected images as two to four dimensions"
        )
    found = infer_layout(shape, layout)
    rows, columns = _sizes(shape, SIZE_AXES[found], height=height, width=width)
    channels: Literal[1, 3] = 1 if shape[CHANNEL_AXIS[found]] == 1 else 3
    return InputForm(layout=found, channels=channels, rank=4, height=rows, width=columns)


def infer_layout(shape: Shape, layout: Layout | None) -> Layout:
    """Return the layout of an input with four dimensions; `layout` overrides an ambiguous shape.

    Raises:
        ClassifierError: The shape is not that of RGB or grey images, or the layout is ambiguous.
    """
    sizes = {each: shape[axis] for each, axis in CHANNEL_AXIS.items()}
    possible = [each for each, size in sizes.items() if size in {1, 3, None}]
    if layout is not None:
        if layout not in possible:
            raise ClassifierError(
                f"--layout is {layout}, but an input of shape {_describe(shape)} does not have"
                " three channels or one there"
            )
        return layout
    if not possible:
        raise ClassifierError(
            f"the input has shape {_describe(shape)}, expected three channels or one"
        )
    for channels in (3, 1):
        certain = [each for each in possible if sizes[each] == channels]
        if len(certain) == 1:
            return certain[0]
        if certain:
            break
    raise ClassifierError(
        f"the input of shape {_describe(shape)} may be nchw or nhwc. Choose one with --layout."
    )


def _flattened(
    shape: Shape, layout: Layout | None, *, height: int | None, width: int | None
) -> InputForm:
    values = shape[1]
    if values is None:
        if height is None or width is None:
            raise ClassifierError(
                f"the input of shape {_describe(shape)} has flattened images of any size. Choose"
                " one with --height and --width."
            )
        values = (3 if layout else 1) * height * width
    for channels in (1, 3):
        side = isqrt(values // channels)
        rows, columns = height or side, width or side
        if channels * rows * columns == values:
            _check_side(rows)
            _check_side(columns)
            if channels == 3 and layout is None:
                raise ClassifierError(
                    f"the input of shape {_describe(shape)} has flattened images of nchw or nhwc."
                    " Choose one with --layout."
                )
            return InputForm(
                layout=layout or "nchw",
                channels=1 if channels == 1 else 3,
                rank=2,
                height=rows,
                width=columns,
            )
    raise ClassifierError(
        f"the input of shape {_describe(shape)} has {values} values, expected height x width or"
        " 3 x height x width. Give --height and --width if the images are not square."
    )


def _sizes(
    shape: Shape, axes: tuple[int, int], *, height: int | None, width: int | None
) -> tuple[int, int]:
    """Return height and width; the arguments set dynamic dimensions."""
    sizes = []
    for option, axis, given in zip(("--height", "--width"), axes, (height, width), strict=True):
        fixed = shape[axis]
        if None not in {fixed, given} and fixed != given:
            raise ClassifierError(f"{option} is {given}, expected {fixed}, the input's own")
        side = fixed if fixed is not None else given
        if side is None:
            raise ClassifierError(
                f"the input of shape {_describe(shape)} accepts any size. Choose one with {option}."
            )
        _check_side(side)
        sizes.append(side)
    return sizes[0], sizes[1]


def _check_side(side: int) -> None:
    if not 1 <= side <= MAX_SIDE:
        raise ClassifierError(f"the input has a side of {side}, expected 1 to {MAX_SIDE}")


def _describe(shape: Shape) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
