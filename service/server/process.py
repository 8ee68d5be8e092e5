"""Memory that is freed goes back to the machine, not to the C library's store."""

import ctypes
import gc

# Objects made and not freed. The interpreter's own 700 are soon there while many requests are in
# flight, and looking through them over and over took 9 % of the processor. Requests leave no
# circles behind, which `tests/service/test_circles.py` holds.
OBJECTS = 20_000


def tune_garbage_collector() -> None:
    """Look among what comes from now on, and only once there is much of it.

    To be called when everything that stays has been made: what is there now is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS)


# <malloc.h> of glibc: the size from which a block is mapped on its own, and unmapped when freed.
M_MMAP_THRESHOLD = -3

MAPPED_BYTES = 2**20


def return_freed_memory() -> bool:
    """Have the C library give back every block of 1 MiB or more as soon as it is freed.

    By itself, glibc raises that size to that of whatever is freed, up to 32 MiB, and keeps smaller
    blocks for each thread: after four pictures of 50 million pixels the process held 2 GB for good.

    Returns:
        Whether it could be set; other C libraries do without.
    """
    library = ctypes.CDLL(None)
    try:
        mallopt = library.mallopt
    except AttributeError:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES))
