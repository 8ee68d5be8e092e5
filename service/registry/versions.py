"""Order the versions of a model by PEP 440, and prefer releases to pre-releases."""

import re
from functools import lru_cache

from packaging.version import InvalidVersion, Version

# The oldest version of PEP 440.
_OLDEST = Version("0.dev0")


def split_reference(reference: str) -> tuple[str, str | None]:
    """Split `NAME` or `NAME@VERSION` into name and version; the version of `NAME@` is empty."""
    name, separator, version = reference.partition("@")
    return name, version if separator else None


def version_key(version: str) -> tuple[Version, list[tuple[int, int, str]]]:
    """Return a sort key from the oldest to the newest version.

    Versions are ordered by PEP 440: 1.0rc1, also written 1.0-rc.1, is older than 1.0. Any other
    text is older than all versions of PEP 440; its digits compare as numbers.
    """
    parts = [
        (1, int(part), "") if part.isdigit() else (0, 0, part)
        for part in re.findall(r"[0-9]+|[^0-9]+", version)
    ]
    return _parse(version) or _OLDEST, parts


def is_prerelease(version: str) -> bool:
    """Return whether a version is an alpha, a beta, a candidate or a dev release by PEP 440."""
    parsed = _parse(version)
    return parsed is not None and parsed.is_prerelease


# It is called for each request that names a model without its version.
@lru_cache(maxsize=1024)
def preference(version: str) -> tuple[bool, tuple[Version, list[tuple[int, int, str]]]]:
    """Return a sort key whose largest value is the newest release, or else the newest version."""
    return not is_prerelease(version), version_key(version)


def _parse(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None
