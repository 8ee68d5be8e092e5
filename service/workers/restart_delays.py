"""The time until a worker that has ended is replaced."""

# Doubled for each worker that ended soon after its start.
FIRST_DELAY_S = 1.0

LAST_DELAY_S = 30.0

# A worker that has served for this long is not part of a crash loop.
STABLE_S = 10.0


class RestartDelays:
    """The delays of the workers of a service: 0, 1, 2, 4, up to 30 seconds.

    A worker is replaced at once, unless its predecessor was a replacement that ended soon too: a
    worker that ends again and again at its start would take all CPU time.
    """

    def __init__(self) -> None:
        self._delays: dict[int, float] = {}

    def after(self, worker: int, *, served_s: float) -> float:
        """Return the delay in seconds until a worker is replaced.

        Args:
            worker: The number of the worker.
            served_s: The time for which it has served requests.
        """
        delay = 0.0 if served_s >= STABLE_S else self._delays.get(worker, 0.0)
        self._delays[worker] = min(max(FIRST_DELAY_S, 2 * delay), LAST_DELAY_S)
        return delay
