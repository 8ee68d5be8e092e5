"""How long a request may take: the operator's bound, or less where the client says so."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import DeadlineExceeded, WrongFields

HEADER = "X-Timeout-Ms"
TAKEN = re.compile(r"[0-9]{1,9}", re.ASCII)


def timeout_s(header: str | None, most_s: float) -> float:
    """Return the seconds that a request has.

    Args:
        header: X-Timeout-Ms of the request, if it has one.
        most_s: The operator's bound, which no client can lengthen.

    Raises:
        WrongFields: Not a whole number of at least 1.
    """
    if header is None:
        return most_s
    if not TAKEN.fullmatch(header) or int(header) == 0:
        raise WrongFields(
            f"{HEADER} {header[:32]!r} came; a whole number of milliseconds from 1 to 999999999"
            " is wanted"
        )
    return min(int(header) / 1000, most_s)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[float]:
    """Give up what takes longer.

    Yields:
        The `time.monotonic()` at which it is given up.

    Raises:
        DeadlineExceeded: It was.
    """
    try:
        async with asyncio.timeout(seconds):
            yield time.monotonic() + seconds
    except TimeoutError as error:
        raise DeadlineExceeded(
            f"no answer within {seconds:g} s; send fewer or smaller images, or allow more time"
        ) from error
