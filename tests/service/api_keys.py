"""API keys for tests, and key files."""

from dataclasses import dataclass
from pathlib import Path

from oodguard.service.auth.keys import Key
from oodguard.service.auth.keys_cli import create_key


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuedKey:
    """A key and its entry in the key file."""

    token: str
    entry: Key

    @classmethod
    def create(
        cls, *roles: str, key_id: str, requests_per_minute: int | None = None
    ) -> "IssuedKey":
        token, entry = create_key(list(roles), key_id, requests_per_minute)
        return cls(token=token, entry=entry)

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.token)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def key_file_text(*keys: IssuedKey) -> str:
    return "\n".join(key.entry.as_toml() for key in keys)


def write_key_file(path: Path, *keys: IssuedKey) -> Path:
    path.touch(0o600)
    path.write_text(key_file_text(*keys))
    return path
