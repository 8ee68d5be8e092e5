"""Check the text of a JSON request before it is parsed."""

import re

from oodguard.service.errors import WrongFields

MAX_FREE_BYTES = 2**20
"""A shorter text may have any characters."""

_BEYOND_ASCII = re.compile(rb"\\u(?!00[0-7])")


def require_ascii(text: bytes) -> None:
    r"""Check that a long text has only ASCII characters, also as escapes such as `\u002b`.

    Base64 and numbers have no others. Python stores a string with four bytes a character if one of
    them is an emoji: eight bodies of 16 MiB took 500 MB, and plain ones 260.

    Raises:
        WrongFields: It has other characters.
    """
    if len(text) <= MAX_FREE_BYTES:
        return
    # The search for a literal is many times as fast as that of the expression.
    if not text.isascii() or (rb"\u" in text and _BEYOND_ASCII.search(text)):
        raise WrongFields(
            f"the JSON has {len(text)} bytes and a character that is not ASCII, expected only ASCII"
            f" in more than {MAX_FREE_BYTES} bytes"
        )
