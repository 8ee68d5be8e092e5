"""The one way in which drift detection can be refused what it was given.

GuardError (models.errors)
`- DriftStateError   a saved state that cannot be gone on from
"""

from models.errors import GuardError


class DriftStateError(GuardError):
    """A saved state that is damaged or of another test; the message says which and the way out."""
