"""How a key is stored and recognised: as a salted hash.

A key is 256 random bits, so that nobody can guess it, however fast the hash: a password's slow hash
would protect nothing here, and its tens of milliseconds a try would let a few wrong keys a second
keep a processor busy. One SHA-256 takes half a microsecond.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

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
