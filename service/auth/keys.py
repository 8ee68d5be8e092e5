"""API keys: their text form, their salted hashes, and the lookup of a received key."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["predict", "metrics", "admin"]

HASH_PATTERN = "^sha256:[0-9a-f]{32}:[0-9a-f]{64}$"

ID_PATTERN = "[a-z0-9][a-z0-9-]{0,31}"

_SALT_BYTES = 16

_SECRET_BYTES = 32

_TOKEN = re.compile(rf"oodguard_({ID_PATTERN})_[A-Za-z0-9_-]{{43}}")


def new_id() -> str:
    """Return a random id for a key."""
    return secrets.token_hex(4)


def new_token(key_id: str) -> str:
    """Return a new key `oodguard_ID_SECRET`, with 256 random bits as URL-safe base64."""
    return f"oodguard_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def id_of(token: str) -> str | None:
    """Return the id in a key, or None if the text does not have the form of a key."""
    match = _TOKEN.fullmatch(token)
    return match[1] if match else None


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyHash:
    """A salt of 16 bytes, and SHA-256(salt + key)."""

    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, token: str) -> "KeyHash":
        """Hash a key with a new salt."""
        salt = secrets.token_bytes(_SALT_BYTES)
        return cls(salt=salt, digest=_digest(salt, token))

    @classmethod
    def parse(cls, text: str) -> "KeyHash":
        """Parse the output of `str`; the text must match `HASH_PATTERN`."""
        _, salt, digest = text.split(":")
        return cls(salt=bytes.fromhex(salt), digest=bytes.fromhex(digest))

    def __str__(self) -> str:
        return f"sha256:{self.salt.hex()}:{self.digest.hex()}"

    def matches(self, token: str) -> bool:
        """Return whether this is the hash of a key, in constant time."""
        return hmac.compare_digest(self.digest, _digest(self.salt, token))


def _digest(salt: bytes, token: str) -> bytes:
    # The salt has a fixed length, so salt + token is unambiguous.
    return hashlib.sha256(salt + token.encode()).digest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """An active API key.

    Attributes:
        id: Identifies the key in the log.
        roles: The key's roles; no role includes another.
        stored: The hash of the key.
        requests_per_minute: The key's own rate limit; None: the limit of the settings.
    """

    id: str
    roles: frozenset[Role]
    stored: KeyHash
    requests_per_minute: int | None = None


class Keyring:
    """The active keys by id.

    Args:
        keys: The keys, with unique ids.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.id: key for key in keys}
        # Compared for an unknown id, so that timing does not reveal which ids exist.
        self._decoy = Key(id="", roles=frozenset(), stored=KeyHash.of(new_token("decoy")))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, token: str) -> Key | None:
        """Return the active key of a received token, or None."""
        key_id = id_of(token)
        if key_id is None:
            return None
        key = self._keys.get(key_id, self._decoy)
        return key if key.stored.matches(token) and key is not self._decoy else None

    def any_has(self, role: Role) -> bool:
        """Return whether a key has a role."""
        return any(role in key.roles for key in self._keys.values())
