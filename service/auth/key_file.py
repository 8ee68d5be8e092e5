"""Read API keys as TOML, from a file or from an environment variable."""

import logging
import stat
import tomllib
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oodguard.service.auth.keys import HASH_PATTERN, ID_PATTERN, Key, KeyHash, Keyring, Role
from oodguard.service.errors import KeyFileError
from oodguard.service.settings import Settings

logger = logging.getLogger("oodguard.keys")

MAX_KEYS = 10_000

MAX_FILE_BYTES = 4 * 2**20

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class KeyEntry(BaseModel):
    """One `[[keys]]` table."""

    model_config = _STRICT

    id: Annotated[str, Field(pattern=f"^{ID_PATTERN}$")]
    roles: Annotated[list[Role], Field(min_length=1, max_length=3)]
    hash: Annotated[str, Field(pattern=HASH_PATTERN)]
    created: date | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=100_000_000)] | None = None

    def as_toml(self) -> str:
        """Return the table as TOML; no value contains a character that needs an escape."""
        roles = ", ".join(f'"{role}"' for role in self.roles)
        lines = ["[[keys]]", f'id = "{self.id}"', f"roles = [{roles}]", f'hash = "{self.hash}"']
        if self.created is not None:
            lines.append(f"created = {self.created.isoformat()}")
        if self.requests_per_minute is not None:
            lines.append(f"requests_per_minute = {self.requests_per_minute}")
        return "\n".join(lines) + "\n"


class _KeyFile(BaseModel):
    # An empty file is invalid: it could mean that every client is allowed, or that none is.
    model_config = _STRICT

    keys: Annotated[list[KeyEntry], Field(min_length=1, max_length=MAX_KEYS)]


def parse_entries(text: str, place: str) -> list[KeyEntry]:
    """Parse a key file.

    Args:
        text: The TOML text.
        place: The file or variable, for messages.

    Raises:
        KeyFileError: The text is not TOML, has an invalid field, or an id is not unique. Messages
            do not repeat the content, which could be a key in the place of its hash.
    """
    try:
        data = tomllib.loads(text)
    except ValueError as error:
        raise KeyFileError(f"{place}: invalid TOML: {error}") from error
    try:
        entries = _KeyFile.model_validate(data).keys
    except ValidationError as error:
        raise KeyFileError(f"{place}: {_faults(error)}") from None
    counts = Counter(entry.id for entry in entries)
    duplicates = sorted(key_id for key_id, count in counts.items() if count > 1)
    if duplicates:
        raise KeyFileError(f"{place}: duplicate ids: {', '.join(duplicates)}")
    return entries


def parse_keys(text: str, place: str) -> list[Key]:
    """Parse a key file into keys; arguments and errors as for `parse_entries`."""
    return [
        Key(
            id=entry.id,
            roles=frozenset(entry.roles),
            stored=KeyHash.parse(entry.hash),
            requests_per_minute=entry.requests_per_minute,
        )
        for entry in parse_entries(text, place)
    ]


def _faults(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    )


def read_file(path: Path) -> str:
    """Read a key file, and log a warning if every user of the machine can read it.

    Raises:
        KeyFileError: The file cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
            mode = path.stat().st_mode
        text = content.decode()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path}: the file is not UTF-8 text") from error
    if len(content) > MAX_FILE_BYTES:
        raise KeyFileError(f"{path}: larger than the limit of {MAX_FILE_BYTES} bytes")
    if mode & stat.S_IROTH:
        logger.warning(
            "The key file is readable by every user of this machine. Run chmod 600 on it.",
            extra={"fields": {"file": str(path)}},
        )
    return text


def key_source(settings: Settings) -> Callable[[], Keyring] | None:
    """Return the function that reads the configured keys, or None if no keys are configured.

    Raises:
        KeyFileError: Both a file and a text are configured.
    """
    path, text = settings.keys_file, settings.keys
    if path is not None and text is not None:
        raise KeyFileError("OODGUARD_KEYS_FILE and OODGUARD_KEYS are both set. Set one of them.")
    if path is not None:
        return lambda: Keyring(parse_keys(read_file(path), str(path)))
    if text is not None:
        return lambda: Keyring(parse_keys(text, "OODGUARD_KEYS"))
    return None
