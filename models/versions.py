"""Order the versions of a model by PEP 440, prefer releases to pre-releases, choose the next."""

import re
from functools import lru_cache

from packaging.version import InvalidVersion, Version

from oodguard.models.errors import BundleError
from oodguard.models.manifest import Description
from oodguard.models.records import VERSION_PATTERN

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


def new_version(given: str | None, manifest: Description) -> str:
    """Return the version of the new bundle: the given one, or the next post-release of PEP 440.

    Raises:
        BundleError: The version is not newer than that of the bundle, or none can be derived.
    """
    old = manifest.version
    if given is None:
        return _next_version(old)
    if not re.fullmatch(VERSION_PATTERN, given):
        raise BundleError(
            f"--version is {given!r}, expected 1 to 32 letters, digits, dots, hyphens and"
            " underscores"
        )
    if version_key(given) <= version_key(old):
        try:
            example = f", such as {_next_version(old)}"
        except BundleError:
            example = ""
        raise BundleError(
            f"--version is {given!r}, expected one that is newer than {old!r}{example}: versions"
            " are ordered by PEP 440"
        )
    return given


def _next_version(old: str) -> str:
    """Return the next post-release.

    Raises:
        BundleError: There is none.
    """
    try:
        parsed = Version(old)
    except InvalidVersion:
        raise BundleError(
            f"the version of the bundle is {old!r}, which is no version of PEP 440. Give the"
            " new one with --version"
        ) from None
    if parsed.is_prerelease or parsed.local:
        raise BundleError(
            f"the version of the bundle is {old!r}, a pre-release or a local version. Give the"
            " new one with --version"
        )
    derived = f"{parsed.base_version}.post{(parsed.post or 0) + 1}"
    if not re.fullmatch(VERSION_PATTERN, derived):
        raise BundleError(
            f"the version of the bundle is {old!r}, and {derived!r} is too long. Give the new"
            " one with --version"
        )
    return derived


def _parse(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None
