"""A number with its noun, for messages and reports."""


def count_of(number: int, noun: str, plural: str | None = None) -> str:
    """Return `1 image` or `2,310 images`; `plural` is that of a noun that adds no s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
