"""The order of versions, and which of them a name stands for."""

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from oodguard.models.errors import BundleError
from oodguard.models.versions import is_prerelease, new_version, preference, version_key

# From PEP 440's own example of an order, and two texts that are not versions of PEP 440.
ASCENDING = [
    "main-9",
    "main-10",
    "1.dev0",
    "1.0.dev456",
    "1.0a1",
    "1.0a2.dev456",
    "1.0a12.dev456",
    "1.0a12",
    "1.0b1.dev456",
    "1.0b2",
    "1.0b2.post345.dev456",
    "1.0b2.post345",
    "1.0rc1.dev456",
    "1.0rc1",
    "1.0",
    "1.0.post456.dev34",
    "1.0.post456",
    "1.0.15",
    "1.1.dev1",
]


def test_versions_are_ordered_by_pep_440() -> None:
    for older, newer in itertools.pairwise(ASCENDING):
        assert version_key(older) < version_key(newer), (older, newer)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("9", "10"),
        ("1.9", "1.10"),
        ("1", "1.1"),
        ("2024-12", "2025-01"),
        ("a", "b"),
        ("rc1", "1"),
        ("1.0.0-rc.1", "1.0.0"),
        ("1.0.0-rc.9", "1.0.0-rc.10"),
        ("1.0.0-alpha.1", "1.0.0-beta.1"),
        ("1.0.0-nightly", "0.1"),
    ],
)
def test_versions_with_other_separators_are_ordered(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


@pytest.mark.parametrize("version", ["1.0rc1", "2.0.0-beta.2", "1.dev3", "1a0"])
def test_version_of_a_prerelease_is_recognized(version: str) -> None:
    assert is_prerelease(version)


@pytest.mark.parametrize("version", ["1", "2024-12", "1.0.post1", "main-10"])
def test_version_of_a_release_is_recognized(version: str) -> None:
    assert not is_prerelease(version)


def test_version_preference_is_the_newest_release_or_else_the_newest_prerelease() -> None:
    assert max(["1.9", "1.10", "2.0rc1"], key=preference) == "1.10"
    assert max(["2.0rc1", "2.0a1", "2.0.dev1"], key=preference) == "2.0rc1"


@pytest.mark.parametrize(
    ("old", "example"), [("1.post1", ", such as 1.post2"), ("2rc1", ""), ("main-9", "")]
)
def test_version_that_is_not_newer_is_refused_with_a_newer_one(old: str, example: str) -> None:
    manifest: Any = SimpleNamespace(version=old)
    with pytest.raises(BundleError, match=f"newer than '{old}'{example}: versions are ordered"):
        new_version(old, manifest)
