"""The text that keys are read from: TOML, in a file or in the environment."""

import tomllib
from collections import Counter
from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.security.errors import KeysRefused
from service.security.hashing import PATTERN, KeyHash
from service.security.keyring import Key
from service.security.roles import Role
from service.security.tokens import ID_PATTERN

MOST_KEYS = 10_000


class KeyEntry(BaseModel):
    """One `[[keys]]` table."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    id: Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]
    roles: Annotated[list[Role], Field(min_length=1, max_length=3)]
    hash: Annotated[str, Field(pattern=PATTERN)]
    created: date | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=100_000_000)] | None = None

    def as_toml(self) -> str:
        """The table, as it stands in a file; every value is of characters that need no escape."""
        roles = ", ".join(f'"{role}"' for role in self.roles)
        lines = ["[[keys]]", f'id = "{self.id}"', f"roles = [{roles}]", f'hash = "{self.hash}"']
        if self.created is not None:
            lines.append(f"created = {self.created.isoformat()}")
        if self.requests_per_minute is not None:
            lines.append(f"requests_per_minute = {self.requests_per_minute}")
        return "\n".join(lines) + "\n"


class KeysText(BaseModel):
    """The whole text. One without keys would leave open whether nobody or everybody may ask."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    keys: Annotated[list[KeyEntry], Field(min_length=1, max_length=MOST_KEYS)]


def parse_entries(text: str, place: str) -> list[KeyEntry]:
    """Read the entries of a text.

    Args:
        text: TOML.
        place: Where it stood, for the message.

    Raises:
        KeysRefused: It is not TOML, not what is wanted, or an id comes twice. The message does not
            repeat what came: somebody may have put a key where its hash belongs.
    """
    try:
        data = tomllib.loads(text)
    except ValueError as error:
        raise KeysRefused(f"{place}: this is not TOML: {error}") from error
    try:
        entries = KeysText.model_validate(data).keys
    except ValidationError as error:
        raise KeysRefused(f"{place}: {_faults(error)}") from None
    times = Counter(entry.id for entry in entries)
    twice = sorted(each for each, count in times.items() if count > 1)
    if twice:
        raise KeysRefused(f"{place}: an id is wanted once; more came of {', '.join(twice)}")
    return entries


def parse_keys(text: str, place: str) -> list[Key]:
    """Read the keys of a text.

    Raises:
        KeysRefused: As `parse_entries` has it.
    """
    return [
        Key(
            id=entry.id,
            roles=frozenset(entry.roles),
            stored=KeyHash.read(entry.hash),
            requests_per_minute=entry.requests_per_minute,
        )
        for entry in parse_entries(text, place)
    ]


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    )
