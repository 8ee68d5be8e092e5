"""Closing the door to new connections without shutting anybody out who is already in it."""

import asyncio
import ctypes
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress

# <asm-generic/socket.h>; `socket` does not name it.
SO_ATTACH_FILTER = 26
# <linux/filter.h>: one instruction, BPF_RET | BPF_K, which keeps 0 bytes of whatever comes.
KEEP_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)
# For the event loop to take what waits, and for what was taken to send its request.
GRACE_S = 0.25


async def let_in_the_last(listeners: Sequence[socket.socket]) -> None:
    """Take no more connections, and all those that the system has taken already.

    Closing a listener resets the connections that wait to be accepted, whatever was sent over them.
    So first the system is told to leave new ones unanswered; who asks for one asks again a second
    later, and is refused.
    """
    for listener in listeners:
        _leave_unanswered(listener)
    await asyncio.sleep(GRACE_S)


def _leave_unanswered(listener: socket.socket) -> None:
    # Elsewhere the number means another thing, and connections of the last moment are lost.
    if sys.platform != "linux":
        return
    instruction = ctypes.create_string_buffer(KEEP_NOTHING, len(KEEP_NOTHING))
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    # So they are in a sandbox without filters.
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
