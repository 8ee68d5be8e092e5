"""The text that keys are read from: TOML, in a file or in the environment."""

import logging
import stat
import tomllib
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oodguard.service.auth.keys import ID_PATTERN, PATTERN, Key, KeyHash, Keyring, Role
from oodguard.service.errors import KeyFileError
from oodguard.service.settings import Settings

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
        KeyFileError: It is not TOML, not what is wanted, or an id comes twice. The message does not
            repeat what came: somebody may have put a key where its hash belongs.
    """
    try:
        data = tomllib.loads(text)
    except ValueError as error:
        raise KeyFileError(f"{place}: this is not TOML: {error}") from error
    try:
        entries = KeysText.model_validate(data).keys
    except ValidationError as error:
        raise KeyFileError(f"{place}: {_faults(error)}") from None
    times = Counter(entry.id for entry in entries)
    twice = sorted(each for each, count in times.items() if count > 1)
    if twice:
        raise KeyFileError(f"{place}: an id is wanted once; more came of {', '.join(twice)}")
    return entries


def parse_keys(text: str, place: str) -> list[Key]:
    """Read the keys of a text.

    Raises:
        KeyFileError: As `parse_entries` has it.
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


logger = logging.getLogger("oodguard.keys")

MOST_BYTES = 4 * 2**20


def source(settings: Settings) -> Callable[[], Keyring] | None:
    """What reads the keys; none: the settings name none.

    Raises:
        KeyFileError: They name two places.
    """
    path, text = settings.keys_file, settings.keys
    if path is not None and text is not None:
        raise KeyFileError("OODGUARD_KEYS_FILE and OODGUARD_KEYS are both set; set one of them")
    if path is not None:
        return lambda: Keyring(parse_keys(read_file(path), str(path)))
    if text is not None:
        return lambda: Keyring(parse_keys(text, "OODGUARD_KEYS"))
    return None


def read_file(path: Path) -> str:
    """Read a file of keys, and warn of one that everybody on the machine can read.

    Raises:
        KeyFileError: It cannot be read, is too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
            mode = path.stat().st_mode
        text = content.decode()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path}: this is no text in UTF-8") from error
    if len(content) > MOST_BYTES:
        raise KeyFileError(f"{path}: more than {MOST_BYTES} bytes came")
    if mode & stat.S_IROTH:
        logger.warning("%s can be read by everybody on this machine; chmod 600 is wanted", path)
    return text
