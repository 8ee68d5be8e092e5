"""The keys that are in force now, and their replacement while the service runs."""

import asyncio
import logging
from collections.abc import Callable

from oodguard.service.auth.key_file import source
from oodguard.service.auth.keys import Keyring
from oodguard.service.errors import AdminWithoutKeys, KeyFileError
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics

logger = logging.getLogger("oodguard.keys")


class KeyStore:
    """A keyring that can be read anew.

    Args:
        read: Reads the keys; called in the event loop's thread once, and in another later.
        wants_admin: Whether somebody must have the role admin.
        metrics: Where readings are counted.

    Attributes:
        ring: The keys in force; replaced whole.

    Raises:
        KeyFileError: They cannot be read.
    """

    def __init__(self, read: Callable[[], Keyring], *, wants_admin: bool, metrics: Metrics) -> None:
        self._read = read
        self._wants_admin = wants_admin
        self._metrics = metrics
        self.ring = self._checked()
        # The last reading is to win, not the slowest.
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> None:
        """Read the keys anew; where they are refused, those before stay in force."""
        async with self._one_at_a_time:
            await self._read_anew()

    async def _read_anew(self) -> None:
        try:
            self.ring = await asyncio.to_thread(self._checked)
        except KeyFileError as error:
            self._metrics.count_keys_read("refused")
            logger.warning("keys refused, those before stay in force: %s", error)
        else:
            self._metrics.count_keys_read("loaded")
            logger.info("keys loaded", extra={"fields": {"keys": len(self.ring)}})

    def _checked(self) -> Keyring:
        ring = self._read()
        if self._wants_admin and not ring.any_has("admin"):
            raise AdminWithoutKeys(
                "OODGUARD_ADMIN is set and no key has the role admin; make one with"
                " oodguard keys new --role admin"
            )
        return ring


def open_key_store(settings: Settings, metrics: Metrics) -> KeyStore | None:
    """Read the keys that the settings name; none: whoever reaches the port may ask.

    Raises:
        KeyFileError: They cannot be read.
        AdminWithoutKeys: The admin routes are asked for and nobody could be let in.
    """
    read = source(settings)
    if read is not None:
        return KeyStore(read, wants_admin=settings.admin, metrics=metrics)
    if settings.admin:
        raise AdminWithoutKeys(
            "OODGUARD_ADMIN is set and there are no keys; name a file of them, one with the role"
            " admin, in OODGUARD_KEYS_FILE"
        )
    return None
