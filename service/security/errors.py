"""What is wrong with the keys that an operator gave.

GuardError (models.errors)
`- KeysRefused            keys that cannot be read, or of which nothing sure can be said
   `- AdminWithoutKeys    the admin routes are asked for and nobody could be let in
"""

from models.errors import GuardError


class KeysRefused(GuardError):
    """Keys that cannot be used; the message names the place, and never tells what stood there."""


class AdminWithoutKeys(KeysRefused):
    """The admin routes are asked for, and no key has the role admin."""
