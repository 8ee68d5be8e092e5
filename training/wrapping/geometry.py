"""Layout and size of a given classifier's input, from its shape and from what was said."""

from models.errors import ClassifierError
from training.wrapping.original import Shape
from training.wrapping.pixels import Layout

CHANNELS = {"nchw": 1, "nhwc": 3}
SIZES = {"nchw": (2, 3), "nhwc": (1, 2)}
LARGEST = 4096
"""Side of an image that a bundle can have."""


def layout_of(shape: Shape, said: Layout | None) -> Layout:
    """Return the layout of an input of this shape, None where a dimension is free.

    Raises:
        ClassifierError: no images of three channels, or the layout cannot be told.
    """
    if len(shape) != 4:
        raise ClassifierError(f"the input has shape {_told(shape)}; four dimensions are wanted")
    fitting: list[Layout] = [
        layout for layout in ("nchw", "nhwc") if shape[CHANNELS[layout]] in {3, None}
    ]
    certain: list[Layout] = [layout for layout in fitting if shape[CHANNELS[layout]] == 3]
    if said is not None:
        if said not in fitting:
            raise ClassifierError(
                f"--layout {said} came; the input of shape {_told(shape)} has not three channels"
            )
        return said
    if not fitting:
        raise ClassifierError(f"the input has shape {_told(shape)}; three channels are wanted")
    if len(certain) != 1:
        raise ClassifierError(
            f"an input of shape {_told(shape)} may be nchw or nhwc: say which with --layout"
        )
    return certain[0]


def size_of(
    shape: Shape, layout: Layout, *, height: int | None, width: int | None
) -> tuple[int, int]:
    """Return height and width in pixels.

    Raises:
        ClassifierError: the input leaves one free and none was said, or another was said.
    """
    sizes = []
    for option, axis, said in zip(
        ("--height", "--width"), SIZES[layout], (height, width), strict=True
    ):
        fixed = shape[axis]
        if None not in {fixed, said} and fixed != said:
            raise ClassifierError(f"{option} {said} came; the input's is {fixed}")
        side = fixed if fixed is not None else said
        if side is None:
            raise ClassifierError(
                f"the input of shape {_told(shape)} takes any size: say which with {option}"
            )
        if not 1 <= side <= LARGEST:
            raise ClassifierError(f"the input has a side of {side}; 1 to {LARGEST} is wanted")
        sizes.append(side)
    return sizes[0], sizes[1]


def _told(shape: Shape) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
