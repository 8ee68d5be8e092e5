"""Read API keys as TOML, from a file or from an environment variable."""

import logging
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from oodguard.models.validation_errors import describe_errors
from oodguard.service.auth.keys import STRICT, Key, Keyring
from oodguard.service.errors import KeyFileError, UnreadableFile
from oodguard.service.regular_file import read_regular_file
from oodguard.service.settings import Settings
from oodguard.service.toml_file import parse_toml

logger = logging.getLogger("oodguard.keys")

MAX_KEYS = 10_000

MAX_FILE_BYTES = 4 * 2**20


class _KeyFile(BaseModel):
    # An empty file is invalid: it could mean that every client is allowed, or that none is.
    model_config = STRICT

    keys: Annotated[list[Key], Field(min_length=1, max_length=MAX_KEYS)]


def parse_keys(text: str, place: str) -> list[Key]:
    """Parse the TOML text of a key file; messages name its file or variable by `place`.

    Raises:
        KeyFileError: The text is not TOML, has an invalid field, or an id is not unique. Messages
            do not repeat the content, which could be a key in the place of its hash.
    """
    try:
        data = parse_toml(text)
    except ValueError as error:
        raise KeyFileError(f"{place}: invalid TOML: {error}") from error
    try:
        keys = _KeyFile.model_validate(data).keys
    except ValidationError as error:
        raise KeyFileError(f"{place}: {describe_errors(error, received=False)}") from None
    counts = Counter(key.id for key in keys)
    duplicates = sorted(key_id for key_id, count in counts.items() if count > 1)
    if duplicates:
        raise KeyFileError(f"{place}: duplicate ids: {', '.join(duplicates)}")
    return keys


def read_file(path: Path) -> str:
    """Read a key file, and log a warning if every user of the machine can read it.

    Raises:
        KeyFileError: The file cannot be read, is too large, is not a regular file, or is not UTF-8.
    """
    try:
        text = read_regular_file(path, MAX_FILE_BYTES).decode()
        mode = path.stat().st_mode
    except UnreadableFile as error:
        raise KeyFileError(str(error)) from error
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path}: the file is not UTF-8 text") from error
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
        return lambda: _read_keys_file(path)
    if text is not None:
        return lambda: Keyring(parse_keys(text, "OODGUARD_KEYS"))
    return None


def _read_keys_file(path: Path) -> Keyring:
    try:
        return Keyring(parse_keys(read_file(path), str(path)))
    except KeyFileError as error:
        raise KeyFileError(f"OODGUARD_KEYS_FILE: {error}") from error
