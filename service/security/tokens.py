"""What a key looks like: `oodguard_ID_SECRET`, so that people and scanners know it for one."""

import re
import secrets

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
