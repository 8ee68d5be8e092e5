"""The bundle that is served while it is abused."""

from tests.e2e.conftest import tiny_bundle

__all__ = ["tiny_bundle"]
