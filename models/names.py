"""Names of files and folders as text that every output format can contain."""

import io
import sys
from os import PathLike


def escape_unencodable_output() -> None:
    """Escape the characters that the encoding of standard output and error does not have."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def escape_control_characters(text: str, *, keep: str = "") -> str:
    r"""Replace every character that is not printable by its escape, such as `\n` or `\x1b`.

    Names in files may contain the control characters of a terminal. Those in `keep` remain.
    """
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )


def text_of(name: str | PathLike[str]) -> str:
    r"""Return a name as text; bytes that are not UTF-8 are escaped, such as `\udcff`.

    JSON, manifests and terminals cannot contain them.
    """
    return str(name).encode("utf-8", "backslashreplace").decode()
