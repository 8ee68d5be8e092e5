"""Return the memory of bodies and responses to the system after they were released."""

import asyncio

from oodguard.models.free_memory import return_free_memory

RETURN_BYTES = 32 * 2**20
"""So much was released before memory is returned."""

DELAY_S = 1.0
"""The delay before memory is returned: a body is freed some time after it was released."""


class MemoryReturn:
    """Returns free memory a second after much of it was released, at most once a second.

    The C library keeps what is free between what is not. A flood of bodies of 16 MiB left 180 MB
    permanently, in addition to which the next flood took its memory. Returning takes a millisecond
    or some more, in a thread.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._is_due = False

    def released(self, count: int) -> None:
        """Count released bytes. Call it in the event loop."""
        self._bytes += count
        if self._bytes >= RETURN_BYTES and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_later(DELAY_S, self._return)

    def _return(self) -> None:
        self._bytes = 0
        self._is_due = False
        asyncio.get_running_loop().run_in_executor(None, return_free_memory)
