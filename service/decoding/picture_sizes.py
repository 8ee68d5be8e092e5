"""How large a picture may be, known before anything of that size is allocated."""

from models.errors import ImageTooLarge

# The most that a JPEG can have. A PNG of 1 x 49000000 has 95 kB, and would keep a decoder for
# nine seconds and, where the model's rule is to stretch, take gigabytes.
LONGEST_SIDE = 65_535


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse what is too large.

    Args:
        width: In pixels, as claimed.
        height: In pixels, as claimed.
        max_pixels: Most pixels of one picture.

    Raises:
        ImageTooLarge: More pixels, or a longer side, than is taken.
    """
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{width} x {height} = {width * height} pixels came; at most {max_pixels} are taken"
        )
    if max(width, height) > LONGEST_SIDE:
        raise ImageTooLarge(
            f"{width} x {height} pixels came; a side of at most {LONGEST_SIDE} is taken"
        )
