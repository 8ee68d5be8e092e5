"""What can go wrong with samples."""

from models.errors import GuardError


class SamplesRefused(GuardError):
    """The settings ask for samples in a place that cannot be had."""


class StoreFailed(GuardError):
    """A store did not do what it was asked; the next time it may."""
