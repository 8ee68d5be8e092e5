"""Where keys are read from: the file or the variable that the settings name."""

import logging
import stat
from collections.abc import Callable
from pathlib import Path

from service.security.errors import KeysRefused
from service.security.keyring import Keyring
from service.security.keys_file import parse_keys
from service.settings import Settings

logger = logging.getLogger("oodguard.keys")

MOST_BYTES = 4 * 2**20


def source(settings: Settings) -> Callable[[], Keyring] | None:
    """What reads the keys; none: the settings name none.

    Raises:
        KeysRefused: They name two places.
    """
    path, text = settings.keys_file, settings.keys
    if path is not None and text is not None:
        raise KeysRefused("OODGUARD_KEYS_FILE and OODGUARD_KEYS are both set; set one of them")
    if path is not None:
        return lambda: Keyring(parse_keys(read_file(path), str(path)))
    if text is not None:
        return lambda: Keyring(parse_keys(text, "OODGUARD_KEYS"))
    return None


def read_file(path: Path) -> str:
    """Read a file of keys, and warn of one that everybody on the machine can read.

    Raises:
        KeysRefused: It cannot be read, is too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
            mode = path.stat().st_mode
        text = content.decode()
    except OSError as error:
        raise KeysRefused(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeysRefused(f"{path}: this is no text in UTF-8") from error
    if len(content) > MOST_BYTES:
        raise KeysRefused(f"{path}: more than {MOST_BYTES} bytes came")
    if mode & stat.S_IROTH:
        logger.warning("%s can be read by everybody on this machine; chmod 600 is wanted", path)
    return text
