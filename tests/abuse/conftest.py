"""The bundle that is served in the tests against hostile requests."""

from tests.e2e.conftest import tiny_bundle

__all__ = ["tiny_bundle"]
