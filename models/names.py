"""Names of files and folders as text that every output format can contain."""

from os import PathLike


def text_of(name: str | PathLike[str]) -> str:
    r"""Return a name as text; bytes that are not UTF-8 are escaped, such as `\udcff`.

    JSON, manifests and terminals cannot contain them.
    """
    return str(name).encode("utf-8", "backslashreplace").decode()
