"""How often the interpreter looks for circles of objects that nobody can reach."""

import gc

# Objects made and not freed. The interpreter's own 700 are soon there while many requests are in
# flight, and looking through them over and over took 9 % of the processor. Requests leave no
# circles behind, which `tests/service/test_circles.py` holds.
OBJECTS = 20_000


def look_seldom() -> None:
    """Look among what comes from now on, and only once there is much of it.

    To be called when everything that stays has been made: what is there now is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)
