"""Which runs are done sooner than a thread would hear of them, so that the event loop does them."""

import asyncio

# A run takes about as much of the interpreter, whatever is in it, and threads wait for each other
# meanwhile: what is done sooner is not worth a thread.
WORTH_A_THREAD_S = 0.0005
# To hand an image over and to hear of it wakes a sleeping processor twice. What comes meanwhile can
# wait for as long as it would for a small picture that is being decoded.
MOST_ALONE_S = 0.002
# Who asked while the loop was running an image is read in the turn after it and put in the next;
# one turn more, and the client that has just been answered may be back.
TURNS_TO_COME_FORWARD = 3


class LoopRuns:
    """Tells what is to be run in the event loop, in which all of this is to be called.

    That is a batch of a graph that does next to nothing; and of any other graph that is not slow,
    the image of a client that asks alone. Two clients are served faster by two threads.
    """

    def __init__(self) -> None:
        self._just_ran = False

    def worth_it(self, images: int, image_s: float) -> bool:
        """Whether to run images here, of which nobody else waits for the engine.

        Args:
            images: How many.
            image_s: Seconds that one is expected to take.
        """
        alone = images == 1 and not self._just_ran
        return images * image_s <= (MOST_ALONE_S if alone else WORTH_A_THREAD_S)

    def ran(self) -> None:
        """Images were run: whoever comes in the next turns had to wait for it, and would again."""
        self._just_ran = True
        self._pass(TURNS_TO_COME_FORWARD)

    def _pass(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._pass, turns - 1)
        else:
            self._just_ran = False
