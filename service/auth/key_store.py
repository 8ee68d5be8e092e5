"""Hold the active keys and reload them while the service runs."""

import asyncio
import logging
from collections.abc import Callable

from oodguard.service.auth.key_file import key_source
from oodguard.service.auth.keys import Keyring
from oodguard.service.errors import AdminWithoutKeys, KeyFileError
from oodguard.service.settings import Settings
from oodguard.service.telemetry.metrics import Metrics

logger = logging.getLogger("oodguard.keys")


class KeyStore:
    """The active keys, which can be reloaded.

    Args:
        read: Reads the keys; called by the constructor, and by `reload` in another thread.
        requires_admin: Whether a key must have the role admin.
        metrics: Counts reloads.

    Attributes:
        ring: The active keys; a reload replaces the whole ring.

    Raises:
        KeyFileError: The keys cannot be read.
    """

    def __init__(
        self, read: Callable[[], Keyring], *, requires_admin: bool, metrics: Metrics
    ) -> None:
        self._read = read
        self._requires_admin = requires_admin
        self._metrics = metrics
        self.ring = self._read_and_check()
        # Serializes reloads, so that the latest one wins and not the slowest.
        self._lock = asyncio.Lock()

    async def reload(self, *, record: bool = True) -> None:
        """Read the keys again. If they are invalid, the previous keys stay active.

        Args:
            record: Whether to count and log it: one of the workers does.
        """
        async with self._lock:
            try:
                self.ring = await asyncio.to_thread(self._read_and_check)
            except KeyFileError as error:
                self._metrics.set_keys_reloaded(successful=False)
                if not record:
                    return
                self._metrics.count_keys_read("refused")
                logger.warning(
                    "API keys could not be reloaded; the previous keys stay active.",
                    extra={"fields": {"error": str(error)}},
                )
            else:
                self._metrics.set_keys_reloaded(successful=True)
                if not record:
                    return
                self._metrics.count_keys_read("loaded")
                logger.info("API keys reloaded.", extra={"fields": {"keys": len(self.ring)}})

    def _read_and_check(self) -> Keyring:
        ring = self._read()
        if self._requires_admin and not ring.any_has("admin"):
            raise AdminWithoutKeys(
                "OODGUARD_ADMIN is set, but no key has the role admin. Create one with"
                " oodguard keys new --role admin."
            )
        return ring


def open_key_store(settings: Settings, metrics: Metrics) -> KeyStore | None:
    """Read the configured keys; None if no keys are configured and authentication is disabled.

    Raises:
        KeyFileError: The keys cannot be read.
        AdminWithoutKeys: The admin routes are enabled, but no key has the role admin.
    """
    read = key_source(settings)
    if read is not None:
        return KeyStore(read, requires_admin=settings.admin, metrics=metrics)
    if settings.admin:
        raise AdminWithoutKeys(
            "OODGUARD_ADMIN is set, but no API keys are configured. Set OODGUARD_KEYS_FILE to a"
            " file with a key that has the role admin."
        )
    return None
