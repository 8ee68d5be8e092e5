"""How often a key may ask: a limit a minute, held in memory."""

import math
from functools import lru_cache

from throttled import MemoryStore, RateLimiterType, Throttled, per_min

from oodguard.service.auth.key_file import MOST_KEYS
from oodguard.service.auth.keys import Key
from oodguard.service.errors import RateLimited


class RateLimiter:
    """Counts the requests of each key by the generic cell rate algorithm.

    A key may ask for a minute's worth at once and goes on at an even rate. Two numbers a key are
    kept, whatever its limit, and of no more keys than there may be: only who showed a valid key is
    counted.

    Args:
        requests_per_minute: The limit of keys that have none of their own; none: no limit.
    """

    def __init__(self, requests_per_minute: int | None) -> None:
        self._default = requests_per_minute
        store = MemoryStore(options={"MAX_SIZE": MOST_KEYS})

        @lru_cache(maxsize=MOST_KEYS)
        def limiter(rate: int) -> Throttled:
            quota = per_min(rate, burst=rate)
            return Throttled(using=RateLimiterType.GCRA.value, quota=quota, store=store)

        self._limiter = limiter

    def require(self, key: Key) -> None:
        """Count one request of a key.

        Raises:
            RateLimited: It has asked too often, and is told when to ask again.
        """
        rate = key.requests_per_minute or self._default
        if rate is None:
            return
        result = self._limiter(rate).limit(key.id)
        if result.limited:
            raise RateLimited(
                f"key {key.id} asked more than {rate} times a minute",
                retry_after_s=math.ceil(result.state.retry_after),
            )
