"""Who holds a key, and a file of keys."""

from dataclasses import dataclass

from oodguard.service.auth.key_file import KeyEntry
from oodguard.service.auth.keys_cli import make


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """A key as its owner has it, and as it is stored."""

    token: str
    entry: KeyEntry

    @classmethod
    def with_roles(
        cls, *roles: str, key_id: str, requests_per_minute: int | None = None
    ) -> "Holder":
        token, entry = make(list(roles), key_id, requests_per_minute)
        return cls(token=token, entry=entry)

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.token)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def text_of(*holders: Holder) -> str:
    return "\n".join(holder.entry.as_toml() for holder in holders)
