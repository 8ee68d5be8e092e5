"""Recognize files and objects that several sources contain, and those of the output."""

import os
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Final

from oodguard.service.s3_bucket import S3_SCHEME

WILDCARDS: Final = frozenset("*?[")


class RepeatedFiles:
    """Recognize a file that an earlier source contains, by its path: each is scored once.

    The paths are kept in memory only if two sources can contain the same file.

    Args:
        arguments: The sources as they were given.
        own: The folder of the output, which may be in one of them.

    Attributes:
        count: The number of files that were found again.
    """

    def __init__(self, arguments: Sequence[str], own: Path) -> None:
        roots = sorted(_below(_root(each)) for each in arguments)
        # Links are followed: the output may be reached by another path than the source.
        self._own = _below(_real(str(own)))
        real_roots = [_below(_real(_root(each))) for each in arguments]
        self._may_be_own = any(self._own.startswith(each) for each in real_roots)
        self._overlap = any(after.startswith(before) for before, after in pairwise(roots))
        self._known: set[bytes] = set()
        self.count = 0

    def is_own(self, path: str) -> bool:
        """Return whether a path is in the folder of the output."""
        return self._may_be_own and _real(path).startswith(self._own)

    def is_new(self, name: str) -> bool:
        """Return whether a path, or the URL of an object, occurs for the first time."""
        if not self._overlap:
            return True
        digest = blake2b(os.fsencode(_identity(name)), digest_size=16).digest()
        if digest in self._known:
            self.count += 1
            return False
        self._known.add(digest)
        return True


def _identity(name: str) -> str:
    return name.rstrip("/") if name.startswith(S3_SCHEME) else os.path.abspath(name)  # noqa: PTH100


def _real(name: str) -> str:
    return name if name.startswith(S3_SCHEME) else os.path.realpath(name)


def _below(root: str) -> str:
    """Return the beginning of the identities of all that is below a folder or prefix."""
    return f"{_identity(root).rstrip('/')}/"


def _root(argument: str) -> str:
    """Return the folder or prefix that all files of a source are in."""
    if not WILDCARDS & set(argument) or os.path.lexists(argument):
        return argument
    parts = argument.split("/")
    at = next(at for at, part in enumerate(parts) if WILDCARDS & set(part))
    return "/".join(parts[:at]) or ("/" if argument.startswith("/") else ".")
