"""Inline execution: batches that run in the event loop because a thread would take longer.

Without it, a server of single PNGs on a small graph sends 6 to 11 % fewer responses a second with
9 to 14 % more CPU time, and one client of raw pixels waits 1.4 times as long (two CPU cores).
"""

import asyncio

MIN_THREAD_RUN_S = 0.0005
"""The shortest run that is faster in a thread than in the event loop.

Any run takes about as much of the interpreter lock, and threads wait for each other meanwhile.
"""

MAX_SINGLE_RUN_S = 0.002
"""The longest run of a single image in the event loop.

A thread would cost two wake-ups of a sleeping CPU. Other requests can wait for as long as they
would for a small image that is being decoded.
"""

BUSY_TURNS = 3
"""Turns of the event loop for which other clients may show up after an inline run.

A client that sent its request during the run is read in the next turn and queued in the one after
it. One turn more, and the client that has just been answered may be back.
"""


class InlineExecution:
    """Decide which batches run in the event loop, where all methods are called.

    These are batches that take at most `MIN_THREAD_RUN_S`, and a single image of a client that is
    alone, if it takes at most `MAX_SINGLE_RUN_S`. Two clients are served faster by two threads.
    """

    def __init__(self) -> None:
        self._just_ran = False

    def is_faster(self, images: int, image_s: float) -> bool:
        """Return whether a batch is faster in the event loop; nothing else may be queued.

        Each image is expected to take `image_s` seconds.
        """
        alone = images == 1 and not self._just_ran
        return images * image_s <= (MAX_SINGLE_RUN_S if alone else MIN_THREAD_RUN_S)

    def ran(self) -> None:
        """Note a run: a client that is queued in the next turns had to wait for it."""
        self._just_ran = True
        self._wait(BUSY_TURNS)

    def _wait(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._wait, turns - 1)
        else:
            self._just_ran = False
