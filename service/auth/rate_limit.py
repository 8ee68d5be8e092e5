"""Rate limits for API keys, per minute, in memory."""

import math
from functools import lru_cache

from throttled import MemoryStore, RateLimiterType, Throttled, per_min

from oodguard.service.auth.key_file import MAX_KEYS
from oodguard.service.auth.keys import Key
from oodguard.service.errors import RateLimited


class RateLimiter:
    """Limits the requests of each key by the generic cell rate algorithm.

    A key may send a minute's worth of requests at once, then at an even rate. Memory is bounded:
    two numbers for each of at most MAX_KEYS keys, because only valid keys are counted.

    Args:
        requests_per_minute: The limit of keys without their own limit; None: no limit.
        store: Where the two numbers are; None: in this process.
    """

    def __init__(self, requests_per_minute: int | None, store: MemoryStore | None = None) -> None:
        self._default = requests_per_minute
        used = store or MemoryStore(options={"MAX_SIZE": MAX_KEYS})

        @lru_cache(maxsize=MAX_KEYS)
        def limiter(rate: int) -> Throttled:
            quota = per_min(rate, burst=rate)
            return Throttled(using=RateLimiterType.GCRA.value, quota=quota, store=used)

        self._limiter = limiter

    def require(self, key: Key) -> None:
        """Count one request of a key.

        Raises:
            RateLimited: The key exceeded its limit.
        """
        rate = key.requests_per_minute or self._default
        if rate is None:
            return
        result = self._limiter(rate).limit(key.id)
        if result.limited:
            raise RateLimited(
                f"key {key.id} exceeded its limit of {rate} requests per minute",
                retry_after_s=math.ceil(result.state.retry_after),
            )
