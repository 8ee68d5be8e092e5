"""API keys: their text form, their salted hashes, and the lookup of a received key."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Role: TypeAlias = Literal["predict", "metrics", "admin"]

HASH_PATTERN = "^sha256:[0-9a-f]{32}:[0-9a-f]{64}$"

ID_PATTERN = "[a-z0-9][a-z0-9-]{0,31}"

STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

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


def hash_key(token: str) -> str:
    """Return `sha256:SALT:DIGEST` in hexadecimal digits: a new salt, and SHA-256(salt + key)."""
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"sha256:{salt.hex()}:{_digest(salt, token).hex()}"


def _digest(salt: bytes, token: str) -> bytes:
    # The salt has a fixed length, so salt + token is unambiguous.
    return hashlib.sha256(salt + token.encode()).digest()


class Key(BaseModel):
    """An active API key: one `[[keys]]` table of a key file.

    Attributes:
        id: Identifies the key in the log.
        roles: The key's roles; no role includes another.
        hash: The output of `hash_key`.
        created: The date of its creation.
        requests_per_minute: The key's own rate limit; None: the limit of the settings.
    """

    model_config = STRICT

    id: Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]
    roles: Annotated[list[Role], Field(min_length=1, max_length=3)]
    hash: Annotated[str, Field(pattern=HASH_PATTERN)]
    created: date | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=100_000_000)] | None = None

    def matches(self, token: str) -> bool:
        """Return whether the hash is that of a received key, in constant time."""
        _, salt, digest = self.hash.split(":")
        return hmac.compare_digest(bytes.fromhex(digest), _digest(bytes.fromhex(salt), token))

    def as_toml(self) -> str:
        """Return the table as TOML; no value contains a character that needs an escape."""
        roles = ", ".join(f'"{role}"' for role in self.roles)
        lines = ["[[keys]]", f'id = "{self.id}"', f"roles = [{roles}]", f'hash = "{self.hash}"']
        if self.created is not None:
            lines.append(f"created = {self.created.isoformat()}")
        if self.requests_per_minute is not None:
            lines.append(f"requests_per_minute = {self.requests_per_minute}")
        return "\n".join(lines) + "\n"


class Keyring:
    """The active keys, which have unique ids."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = {key.id: key for key in keys}
        # Compared for an unknown id, so that timing does not reveal which ids exist.
        self._decoy = Key(id="decoy", roles=["predict"], hash=hash_key(new_token("decoy")))

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, token: str) -> Key | None:
        """Return the active key of a received token, or None."""
        key_id = id_of(token)
        if key_id is None:
            return None
        key = self._keys.get(key_id, self._decoy)
        return key if key.matches(token) and key is not self._decoy else None

    def fingerprint(self) -> bytes:
        """Return a text that is the same for the same keys."""
        return "".join(self._keys[each].as_toml() for each in sorted(self._keys)).encode()

    def any_has(self, role: Role) -> bool:
        """Return whether a key has a role."""
        return any(role in key.roles for key in self._keys.values())
