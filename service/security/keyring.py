"""The keys in force, and the one that a caller shows."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.security.hashing import KeyHash
from service.security.roles import Role
from service.security.tokens import id_of, new_token


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """Somebody who may ask.

    Attributes:
        id: What the log calls them.
        roles: What they may ask for; one role does not include another.
        stored: The hash of their secret.
        requests_per_minute: How often; none: as often as the settings say.
    """

    id: str
    roles: frozenset[Role]
    stored: KeyHash
    requests_per_minute: int | None = None


class Keyring:
    """Keys by their id.

    Args:
        keys: The keys; no id comes twice.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.id: key for key in keys}
        # Who guesses at an id that is not there waits as long as one whose secret is wrong.
        self._nobody = Key(id="", roles=frozenset(), stored=KeyHash.of(new_token("nobody")))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, token: str) -> Key | None:
        """The key that a caller shows; none: it is not one of these."""
        identifier = id_of(token)
        if identifier is None:
            return None
        key = self._keys.get(identifier, self._nobody)
        return key if key.stored.matches(token) and key is not self._nobody else None

    def any_has(self, role: Role) -> bool:
        """Whether somebody has a role."""
        return any(role in key.roles for key in self._keys.values())
