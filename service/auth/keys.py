"""The keys in force, and the one that a caller shows."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

SALT_BYTES = 16

NAME = "sha256"

PATTERN = f"^{NAME}:[0-9a-f]{{32}}:[0-9a-f]{{64}}$"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyHash:
    """A salt of 16 bytes, and the SHA-256 of the salt followed by the key."""

    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, token: str) -> "KeyHash":
        """Hash a key under a new salt."""
        salt = secrets.token_bytes(SALT_BYTES)
        return cls(salt=salt, digest=_digest(salt, token))

    @classmethod
    def read(cls, text: str) -> "KeyHash":
        """Read what `str` wrote; the text matches `PATTERN`."""
        _, salt, digest = text.split(":")
        return cls(salt=bytes.fromhex(salt), digest=bytes.fromhex(digest))

    def __str__(self) -> str:
        return f"{NAME}:{self.salt.hex()}:{self.digest.hex()}"

    def matches(self, token: str) -> bool:
        """Whether this is the hash of a key; how long that takes tells nothing of the answer."""
        return hmac.compare_digest(self.digest, _digest(self.salt, token))


def _digest(salt: bytes, token: str) -> bytes:
    # The salt's length is fixed, so that salt and key cannot be told apart in two ways.
    return hashlib.sha256(salt + token.encode()).digest()


PREFIX = "oodguard"

SECRET_BYTES = 32

ID_PATTERN = "[a-z0-9][a-z0-9-]{0,31}"

_TOKEN = re.compile(rf"{PREFIX}_({ID_PATTERN})_[A-Za-z0-9_-]{{43}}")


def new_id() -> str:
    """A name for a key that nobody named."""
    return secrets.token_hex(4)


def new_token(key_id: str) -> str:
    """Make a key: 256 random bits behind its id."""
    return f"{PREFIX}_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"


def id_of(token: str) -> str | None:
    """The id within a key; none: it is not of the form of a key."""
    found = _TOKEN.fullmatch(token)
    return found[1] if found else None


Role: TypeAlias = Literal["predict", "metrics", "admin"]


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
